/** What is told of a checkpoint from its headers is what loading it comes to, for every folder and file of the fixtures. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { directory, init, LowrankError, type Device, type Files } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fromPretrained, inspectCheckpoint, type CheckpointFacts } from "../src/index.ts";

const fixtures = resolve(import.meta.dirname, "../../..", process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures");
const present = existsSync(join(fixtures, "families", "manifest.json"));
const data = resolve(fixtures, "../data");

/** Folders below `folder` that hold one of `names`. */
function holding(folder: string, names: readonly string[]): string[] {
  if (!existsSync(folder)) return [];
  const inside = readdirSync(folder, { withFileTypes: true });
  const here = inside.some((entry) => names.includes(entry.name)) ? [folder] : [];
  return [...here, ...inside.filter((e) => e.isDirectory()).flatMap((e) => holding(join(folder, e.name), names))];
}

const checkpoints = ["families", "models"].flatMap((kind) => holding(join(fixtures, kind), ["config.json"]));
const gguf = present ? readdirSync(join(fixtures, "gguf")).filter((name) => name.endsWith(".gguf")) : [];

/** Files that count what is read of them. */
function counting(files: Files): { readonly files: Files; readonly read: () => number } {
  let read = 0;
  return {
    read: () => read,
    files: {
      ...files,
      async text(name) {
        const text = await files.text(name);
        read += Buffer.byteLength(text);
        return text;
      },
      async open(name) {
        const file = await files.open(name);
        return {
          ...file,
          read(begin, end) {
            read += end - begin;
            return file.read(begin, end);
          },
        };
      },
    },
  };
}

/** Length of what stands before the first tensor in all files that hold tensors. */
async function headerBytes(files: Files, names: readonly string[]): Promise<number> {
  let sum = 0;
  for (const name of names) {
    const file = await files.open(name);
    const first = await file.read(0, 8);
    sum += 8 + Number(new DataView(first.buffer, first.byteOffset).getBigUint64(0, true));
    await file.close?.();
  }
  return sum;
}

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());

/** Loads what was inspected, and compares. */
async function sameAsLoading(path: string, { loads }: CheckpointFacts): Promise<void> {
  if (loads.refused !== null) {
    await expect(fromPretrained(path, { device })).rejects.toThrow(LowrankError);
    return;
  }
  const { model, report } = await fromPretrained(path, { device });
  const sizes = [...new Set(model.weights())].map((w) => w.size);
  expect([model.architecture, sizes.reduce((a, b) => a + b, 0)]).toEqual([loads.as, loads.parameters!.total]);
  expect(new Set(report.fresh)).toEqual(new Set(loads.fresh));
  expect(new Set(report.unused)).toEqual(new Set(loads.unexpected));
  model.dispose();
}

describe.skipIf(!present)("inspectCheckpoint", () => {
  it("has checkpoints to look at", () => {
    expect(checkpoints.length).toBeGreaterThan(70);
    expect(gguf.length).toBeGreaterThan(5);
  });

  it.each(checkpoints.map((path) => [path.slice(fixtures.length + 1), path]))("%s", async (_, path) => {
    const { files, read } = counting(directory(path));
    const { facts, model } = await inspectCheckpoint(files);
    expect([facts.kind, facts.form, facts.loads.missing, facts.loads.notBuilt]).toEqual([
      "checkpoint",
      "safetensors",
      [],
      [],
    ]);
    expect(facts.bytes).toBe(facts.dtypes.reduce((sum, { bytes }) => sum + bytes, 0));
    expect(facts.sizes!.layers).toBe(model!.config.numHiddenLayers);
    // nothing of a tensor is read: JSON and headers are all
    const texts = ["config.json", "model.safetensors.index.json"].filter((name) => existsSync(join(path, name)));
    const around = texts.reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
    expect(read()).toBeLessThanOrEqual((await headerBytes(directory(path), facts.files)) + around);
    expect(JSON.parse(JSON.stringify(facts))).toEqual(facts);
    await sameAsLoading(path, facts);
  });

  it.each(gguf)("%s", async (name) => {
    const path = join(fixtures, "gguf", name);
    const { facts } = await inspectCheckpoint(path);
    expect(facts.form).toBe("gguf");
    await sameAsLoading(path, facts);
  });

  it.each([
    ["bnb-llama-nf4-nested", "nf4"],
    ["bnb-bert-fp4", "fp4"],
    ["bnb-bert-int8", "int8"],
    ["form-f16", null],
  ])("families/%s is quantized as %s", async (name, quantization) => {
    const { facts } = await inspectCheckpoint(join(fixtures, "families", name, "checkpoint"));
    expect(facts.quantization).toBe(quantization);
  });

  it("reads no more than headers and a megabyte of a large checkpoint with its tokenizer", async (context) => {
    const path = join(data, "minilm-l6");
    if (!existsSync(path)) return context.skip("there is no minilm-l6 beside the fixtures");
    const { files, read } = counting(directory(path));
    const { facts } = await inspectCheckpoint(files);
    expect(read()).toBeLessThan((await headerBytes(directory(path), facts.files)) + 1e6);
    expect(facts.tokenizer).toMatchObject({ model: "WordPiece", vocabulary: 30522, maxLength: 512, refused: null });
    expect(facts.loads).toMatchObject({ as: "BertModel", parameters: { total: 22_713_216, embedding: 11_917_824 } });
  });
});

it.skipIf(present)("has a fixtures folder (set LOWRANK_FIXTURES)", () => {
  expect.unreachable("no fixtures");
});
