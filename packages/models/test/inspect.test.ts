/** Checkpoints that are damaged, incomplete or of another kind, looked at: what is there, and one line about what is not. */
import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { fromBytes, init, SafetensorsFile, serialize, type Device, type StoredTensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  fromPretrained,
  groupTensors,
  inspectCheckpoint,
  locate,
  metaModel,
  savePretrained,
  type CheckpointFacts,
} from "../src/index.ts";
import { SMALL } from "./small-models.ts";

let device: Device;
let whole: string;
let folder: string;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  folder = mkdtempSync(join(tmpdir(), "lowrank-inspect-"));
  whole = join(folder, "whole");
  const sizes = { vocab: 11, heads: 2, width: 4, layers: 2, positions: 6 };
  const model = metaModel("BertForSequenceClassification", SMALL["BertForSequenceClassification"]!(sizes));
  await model.materialize({ device, seed: 3 });
  await savePretrained(model, whole);
});
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true, force: true });
});

let copies = 0;
function copy(): string {
  const to = join(folder, `copy-${copies++}`);
  cpSync(whole, to, { recursive: true });
  return to;
}

async function tensorsOf(path: string): Promise<Record<string, StoredTensor>> {
  const file = await SafetensorsFile.open(fromBytes(readFileSync(join(path, "model.safetensors"))));
  const out: Record<string, StoredTensor> = {};
  for (const name of file.names) out[name] = await file.read(name);
  return out;
}

async function changed(change: (tensors: Record<string, StoredTensor>) => void): Promise<string> {
  const path = copy();
  const tensors = await tensorsOf(path);
  change(tensors);
  writeFileSync(join(path, "model.safetensors"), serialize(tensors));
  return path;
}

function withConfig(path: string, keys: Record<string, unknown>): string {
  const config = JSON.parse(readFileSync(join(path, "config.json"), "utf8")) as object;
  writeFileSync(join(path, "config.json"), JSON.stringify({ ...config, ...keys }));
  return path;
}

const look = async (path: string): Promise<CheckpointFacts> => (await inspectCheckpoint(path)).facts;

describe("a checkpoint", () => {
  it("that is whole", async () => {
    const { loads, sizes, tensors } = await look(whole);
    expect(loads).toMatchObject({
      as: "BertForSequenceClassification",
      task: "SEQ_CLS",
      refused: null,
      fresh: [],
      unexpected: [],
    });
    expect(sizes).toMatchObject({ layers: 2, hidden: 8, heads: 2, vocabulary: 11, positions: 6, rotary: null });
    // in the order of the model
    expect([tensors[0]!.name, tensors.at(-1)!.name]).toEqual([
      "bert.embeddings.word_embeddings.weight",
      "classifier.bias",
    ]);
  });

  it("without a head draws one", async () => {
    const path = await changed((tensors) => {
      delete tensors["classifier.weight"];
      delete tensors["classifier.bias"];
    });
    expect((await look(path)).loads).toMatchObject({
      refused: null,
      missing: [],
      fresh: ["classifier.weight", "classifier.bias"],
    });
  });

  it.each([
    [
      "lacks weights of its base",
      (tensors: Record<string, StoredTensor>) => {
        for (const name of Object.keys(tensors)) if (name.includes("layer.1.attention.self")) delete tensors[name];
      },
      { missing: 6, unexpected: 0 },
      /lacks 6 weights of the base model: bert\.encoder\.layer\.1\.attention\.self\.query\.weight, /,
    ],
    [
      "holds tensors of something else",
      (tensors: Record<string, StoredTensor>) => {
        tensors["vision.weight"] = { dtype: "f32", shape: [2], data: new Float32Array(2) };
      },
      { missing: 0, unexpected: 1 },
      undefined,
    ],
    [
      "has another size than its config",
      (tensors: Record<string, StoredTensor>) => {
        tensors["bert.pooler.dense.bias"] = { dtype: "f32", shape: [7], data: new Float32Array(7) };
      },
      { missing: 0, unexpected: 0 },
      /bert\.pooler\.dense\.bias is \[7\] in the file and \[8\] in the model/,
    ],
  ])("that %s", async (_, change, { missing, unexpected }, refused) => {
    const path = await changed(change);
    const { loads } = await look(path);
    expect([loads.missing.length, loads.unexpected.length]).toEqual([missing, unexpected]);
    if (refused === undefined) expect(loads.refused).toBeNull();
    else expect(loads.refused).toMatch(refused);
    // the same line that loading gives
    if (loads.refused !== null) await expect(fromPretrained(path, { device })).rejects.toThrow(loads.refused);
  });

  it.each([
    [{ model_type: "mamba" }, /model_type "mamba" is not built; there are bert, /, null],
    [{ position_embedding_type: "relative_key" }, /position_embedding_type "relative_key" is not built/, null],
    [
      { quantization_config: { quant_method: "gptq", bits: 4 } },
      /the weights are quantized by GPTQ, which is not read here/,
      "gptq",
    ],
    [
      { quantization_config: { quant_method: "awq", bits: 4 } },
      /the weights are quantized by AWQ, which is not read here/,
      "awq",
    ],
  ])("whose config says %j", async (keys, refused, quantization) => {
    const path = withConfig(copy(), keys);
    const facts = await look(path);
    expect([facts.quantization, facts.sizes!.layers, facts.tensors.length > 0]).toEqual([quantization, 2, true]);
    expect(facts.loads.refused).toMatch(refused);
    await expect(fromPretrained(path, { device })).rejects.toThrow(refused);
  });

  it("whose weights are a pickle, or not there, still has its config", async () => {
    const path = copy();
    rmSync(join(path, "model.safetensors"));
    expect(await look(path)).toMatchObject({
      form: "none",
      loads: { refused: "there are no weights beside config.json" },
    });
    writeFileSync(join(path, "pytorch_model.bin"), "x");
    const { form, files, loads } = await look(path);
    expect([form, files, loads.parameters!.total > 0]).toEqual(["pickle", ["pytorch_model.bin"], true]);
    expect(loads.refused).toMatch(/^pytorch_model\.bin is a pickle, .* convert it once in Python/);
    writeFileSync(join(path, "quantize_config.json"), "{}");
    expect((await look(path)).loads.refused).toMatch(/quantize_config\.json: the weights are quantized by GPTQ/);
    rmSync(join(path, "quantize_config.json"));
    withConfig(path, { quantization_config: { quant_method: "gptq", bits: 4 } });
    expect((await look(path)).loads.refused).toMatch(/^[^\n]*the weights are quantized by GPTQ/);
    rmSync(join(path, "config.json"));
    await expect(look(path)).rejects.toThrow(
      /there is no config\.json, which is needed to convert the weights: pytorch_model\.bin is a pickle, .* convert it/,
    );
  });
});

describe("one line for", () => {
  it.each([
    [
      "a file that was cut off",
      (path: string) => truncateSync(join(path, "model.safetensors"), 3000),
      /\/model\.safetensors: safetensors: header of 4168 bytes does not fit a file of 3000 bytes; the file was cut off$/,
    ],
    [
      "a header that is none",
      (path: string) => writeFileSync(join(path, "model.safetensors"), "<html>no</html>"),
      /safetensors: header of \d+ bytes/,
    ],
    ["a config that is no JSON", (path: string) => writeFileSync(join(path, "config.json"), "{"), /config\.json/],
  ])("%s", async (_, damage, line) => {
    const path = copy();
    damage(path);
    await expect(look(path)).rejects.toThrow(line);
  });

  it("shards that are missing, with their number", async () => {
    const path = copy();
    rmSync(join(path, "model.safetensors"));
    const weight_map = { a: "m-1.safetensors", b: "m-2.safetensors" };
    writeFileSync(join(path, "model.safetensors.index.json"), JSON.stringify({ weight_map }));
    await expect(look(path)).rejects.toThrow(
      'names 2 of 2 files that are not there ("m-1.safetensors", "m-2.safetensors"); copy every shard',
    );
  });

  it("places with nothing in them", async () => {
    const empty = mkdtempSync(join(folder, "empty-"));
    await expect(look(empty)).rejects.toThrow(
      "there is nothing to look into: no config.json, no .safetensors, no .gguf, no adapter_config.json; it has no files",
    );
    await expect(look(join(folder, "nowhere"))).rejects.toThrow("there is no such folder");
    writeFileSync(join(empty, "model.pt"), "x");
    await expect(look(join(empty, "model.pt"))).rejects.toThrow(/model\.pt: is a pickle/);
    for (const name of ["x.json", "README.md"]) {
      writeFileSync(join(empty, name), "x");
      await expect(look(join(empty, name))).rejects.toThrow(
        `/${name}: "${name}" is nothing to look into by itself; give its folder, or a file that ends in .gguf, .bin, .safetensors, `,
      );
    }
    await expect(locate(whole, { revision: "main" })).rejects.toThrow(
      'is no model of the hub, and only those have revisions; leave out "main"',
    );
  });
});

it("tensors without a config are listed", async () => {
  const path = mkdtempSync(join(folder, "bare-"));
  const data = new Float32Array(6);
  writeFileSync(
    join(path, "weights.safetensors"),
    serialize({ "a.10.w": { dtype: "f32", shape: [6], data }, "a.9.w": { dtype: "f32", shape: [6], data } }),
  );
  const facts = await look(path);
  expect(facts).toMatchObject({
    kind: "tensors",
    sizes: null,
    loads: { refused: "there is no config.json beside it: whose weights are these?" },
  });
  expect(facts.tensors.map(({ name }) => name)).toEqual(["a.9.w", "a.10.w"]);
  expect(await look(join(path, "weights.safetensors"))).toEqual({ ...facts, where: facts.where });
});

test.prop([
  fc.uniqueArray(fc.nat({ max: 40 }), { minLength: 1 }),
  fc.uniqueArray(fc.nat({ max: 9 }), { minLength: 1 }),
])("rows of tensors say every number", (layers, experts) => {
  const tensors = layers.flatMap((l) =>
    experts.map((e) => ({ name: `m.${l}.x.${e}.weight`, dtype: "F32", shape: [2], bytes: 8 })),
  );
  const rows = groupTensors(tensors);
  expect([rows.length, rows[0]!.count, rows[0]!.bytes]).toEqual([1, tensors.length, 8 * tensors.length]);
  const numbers = (part: string): number[] =>
    part
      .replace(/[{}]/g, "")
      .split(",")
      .flatMap((run) => {
        const [from, to = from] = run.split("..").map(Number);
        return Array.from({ length: to! - from! + 1 }, (_, i) => from! + i);
      });
  const [, first, , second] = /^m\.(.*?)(\.x\.)(.*)\.weight$/.exec(rows[0]!.pattern)!;
  expect([numbers(first!), numbers(second!)]).toEqual([
    [...layers].sort((a, b) => a - b),
    [...experts].sort((a, b) => a - b),
  ]);
});
