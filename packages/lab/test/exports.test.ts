/** `lowrank merge`, `quantize` and `export` on a small model: what is written has the function of what was given, or it is refused in one line. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import {
  directory,
  fromPretrained,
  GGUF_MATRIX_TYPES,
  GgufFile,
  metaModel,
  savePretrained,
  type PretrainedModel,
} from "@lowrank/models";
import { adapt, loadAdapter, loadMlxAdapter, saveAdapter } from "@lowrank/peft";
import { quantize } from "@lowrank/quant";
import { fromBytes, init, RandomStream, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { main } from "../src/cli/main.ts";
import { EXPORTS } from "../src/exports/registry.ts";
import { EXPORT_WORDS, GGUF_TYPES } from "../src/exports/words.ts";

const CONFIG = {
  model_type: "llama",
  vocab_size: 40,
  hidden_size: 64,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 32,
};

const folder = mkdtempSync(join(tmpdir(), "lowrank-exports-"));
const at = (name: string): string => join(folder, name);
let device: Device;
let [base, adapted]: Float64Array[] = [];

async function logitsOf(model: PretrainedModel): Promise<Float64Array> {
  const inputIds = device.tensor(Int32Array.of(3, 1, 4, 1, 5, 9), [1, 6], "i32");
  const { logits } = model.forward({ inputIds }) as { logits: { floats(): Promise<Float64Array> } };
  return logits.floats();
}
const load = async (name: string): Promise<PretrainedModel> =>
  (await fromPretrained(at(name), { device, task: "CAUSAL_LM" })).model;

beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  const model = metaModel("LlamaForCausalLM", CONFIG);
  await model.materialize({ device, seed: 1 });
  const random = new RandomStream(1, "exports");
  const draw = (
    weight: { readonly size: number; readonly parameter: { write(v: Float32Array): void } },
    std: number,
  ) => {
    const values = new Float64Array(weight.size);
    random.fillNormal(values, 0, std);
    weight.parameter.write(Float32Array.from(values));
  };
  for (const [name, weight] of model.namedWeights()) if (!name.includes("norm")) draw(weight, 0.2);
  await savePretrained(model, at("base"));
  base = await logitsOf(model);
  model.origin = at("base");
  const adapter = await adapt(
    model,
    { r: 4, alpha: 8, targetModules: "all-linear", taskType: "CAUSAL_LM" },
    { device },
  );
  for (const update of adapter.updates.values()) draw(update.lowRank!.factors!.b, 0.1);
  adapted = await logitsOf(model);
  await saveAdapter(adapter, directory(at("adapter")));
});
afterAll(() => device.close());

async function lowrank(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const said = { stdout: "", stderr: "" };
  const spies = (["stdout", "stderr"] as const).map((stream) =>
    vi.spyOn(process[stream], "write").mockImplementation((chunk) => {
      said[stream] += String(chunk);
      return true;
    }),
  );
  try {
    return { code: await main([...args, "--quiet", "--device", "wasm", "--threads", "1"]), ...said };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

/** The largest difference, beside the largest value. */
const apart = (got: ArrayLike<number>, want: ArrayLike<number>): number => {
  const scale = Math.max(...Array.from(want, Math.abs));
  return Math.max(...Array.from(want, (v, i) => Math.abs(got[i]! - v))) / scale;
};

describe("merge", () => {
  it("works an adapter into the base that it names, and does not replace what is there", async () => {
    const first = await lowrank("merge", "--adapter", at("adapter"), "--out", at("merged"));
    expect([first.code, first.stderr]).toEqual([0, ""]);
    expect(first.stdout).toMatch(/merged into 14 modules, rounded: off by at most /);
    expect(apart(base!, adapted!)).toBeGreaterThan(0.05);
    expect(apart(await logitsOf(await load("merged")), adapted!)).toBeLessThan(1e-5);
    const second = await lowrank("merge", "--adapter", at("adapter"), "--out", at("merged"));
    expect([second.code, second.stderr]).toEqual([
      2,
      `lowrank: --out ${at("merged")}: is there already; give another path, or --force to replace it\n`,
    ]);
    const again = await lowrank(
      "merge",
      "--adapter",
      at("adapter"),
      "--out",
      at("merged"),
      "--force",
      "--type",
      "bf16",
    );
    expect(again.code).toBe(0);
    expect((await load("merged")).config.source["dtype"]).toBe("bfloat16");
  });

  it("into four bits quantizes again and says the error, or writes f16", async () => {
    const made = await lowrank("quantize", at("base"), "--to", "nf4", "--out", at("nf4"), "--json");
    expect(made.code).toBe(0);
    expect(JSON.parse(made.stdout)).toMatchObject({
      version: 1,
      to: "nf4",
      bytes: { before: expect.any(Number) as number },
    });
    const given = ["--adapter", at("adapter"), "--base", at("nf4"), "--json"];
    const kept = await lowrank("merge", ...given, "--keep", "--out", at("nf4-merged"));
    expect(kept.code).toBe(0);
    const { merged } = JSON.parse(kept.stdout) as { merged: { forms: string[]; relative: number; largest: number } };
    expect(merged.forms).toEqual(["nf4"]);
    // NF4 of normal numbers is about 9 % off
    expect(merged.relative).toBeGreaterThan(0.03);
    expect(merged.relative).toBeLessThan(0.2);
    const model = await load("nf4-merged");
    expect(model.weights().filter(({ form }) => form?.kind === "nf4").length).toBe(14);
    // what the adapter was trained on is the dequantized base
    const over = await load("nf4");
    await loadAdapter(over, directory(at("adapter")), { device });
    const wanted = await logitsOf(over);
    expect(apart(await logitsOf(model), wanted)).toBeLessThan(0.5);
    expect((await lowrank("merge", ...given, "--out", at("f16"))).code).toBe(0);
    const plain = await load("f16");
    expect(plain.weights().every(({ form }) => form === undefined)).toBe(true);
    expect(apart(await logitsOf(plain), wanted)).toBeLessThan(0.01);
    const config = JSON.parse(readFileSync(at("f16/config.json"), "utf8")) as Record<string, unknown>;
    expect(config["quantization_config"]).toBeUndefined();
  });
});

describe("what merging costs", () => {
  type Merged = { merged: { largest: number; relative: number; worst: string; forms: string[] } };
  const weightsOf = async (name: string): Promise<Map<string, Float64Array>> => {
    const out = new Map<string, Float64Array>();
    for (const [called, weight] of (await load(name)).namedWeights()) out.set(called, await weight.value.floats());
    return out;
  };

  it("is of what was written, from a base in bf16 too, which is widened before it is merged into", async () => {
    expect(
      (await lowrank("export", "--to", "hf", "--base", at("base"), "--type", "bf16", "--out", at("bf16"))).code,
    ).toBe(0);
    const over = await load("bf16");
    await (await loadAdapter(over, directory(at("adapter")), { device })).mergeAndUnload();
    const exact = new Map<string, Float64Array>();
    for (const [name, weight] of over.namedWeights()) exact.set(name, await weight.value.floats());
    for (const [type, name, least, most] of [
      ["F32", "F32.gguf", 0, 0],
      ["f32", "hf-f32", 0, 0],
      // half a unit in the last place of numbers below 2
      ["F16", "F16.gguf", 2 ** -14, 2 ** -11],
      ["Q8_0", "Q8_0.gguf", 2 ** -9, 2 ** -6],
      // its own dtype
      [undefined, "hf-own", 2 ** -11, 2 ** -8],
    ] as const) {
      const out = at(`cost-${name}`);
      const words = ["--adapter", at("adapter"), "--base", at("bf16"), ...(type === undefined ? [] : ["--type", type])];
      const done = await lowrank("merge", ...words, "--out", out, "--json");
      expect(done.code).toBe(0);
      const { merged } = JSON.parse(done.stdout) as Merged;
      let [largest, relative] = [0, 0];
      for (const [called, stored] of await weightsOf(`cost-${name}`)) {
        if (!called.endsWith("proj.weight")) continue;
        let [off, whole] = [0, 0];
        for (const [i, v] of exact.get(called)!.entries()) {
          largest = Math.max(largest, Math.abs(v - stored[i]!));
          off += (v - stored[i]!) ** 2;
          whole += v ** 2;
        }
        relative = Math.max(relative, Math.sqrt(off / whole));
      }
      expect(merged.largest).toBeCloseTo(largest, 7);
      expect(merged.relative).toBeCloseTo(relative, 7);
      expect(merged.largest).toBeGreaterThanOrEqual(least);
      expect(merged.largest).toBeLessThanOrEqual(most + 1e-7);
      expect(merged.forms).toEqual(type === "Q8_0" ? ["Q8_0"] : []);
    }
  });
});

it("does not write what a dtype has no number for", async () => {
  const model = await load("base");
  const [name, weight] = [...model.namedWeights()].find(([called]) => called.endsWith("norm.weight"))!;
  weight.parameter.write(new Float32Array(weight.size).fill(1e6));
  await savePretrained(model, at("large"));
  const given = ["export", "--to", "hf", "--base", at("large"), "--out", at("large-out")];
  expect(await lowrank(...given, "--type", "f16")).toMatchObject({
    code: 2,
    stderr: `lowrank: ${name}: 1000000 is beyond what f16 can hold; give --type bf16 or f32\n`,
  });
  expect(existsSync(at("large-out"))).toBe(false);
  expect((await lowrank(...given, "--type", "bf16")).code).toBe(0);
});

describe("--force", () => {
  const contents = (name: string): string[] => (readdirSync(at(name), { recursive: true }) as string[]).toSorted();

  it.each<[string, string[], RegExp]>([
    ["the base", ["merge", "--adapter", "adapter", "--out", "base"], /is what is read/],
    ["the adapter", ["export", "--to", "peft", "--adapter", "adapter", "--out", "adapter"], /is what is read/],
    ["the base by a link", ["merge", "--adapter", "adapter", "--out", "link"], /is what is read/],
    ["a folder in it", ["merge", "--adapter", "adapter", "--out", "base/merged"], /lies in what is read/],
    ["a file in it", ["quantize", "base", "--to", "F16", "--out", "link/model.gguf"], /lies in what is read/],
    ["itself", ["quantize", "base", "--to", "nf4", "--out", "base"], /is what is read/],
    ["what holds both", ["export", "--to", "hf", "--base", "base", "--out", "."], /holds /],
    ["a foreign folder", ["merge", "--adapter", "adapter", "--out", "foreign"], /holds notes.txt, which is no part/],
    ["a folder with folders", ["quantize", "base", "--to", "nf4", "--out", "nested"], /holds \.git, which is no part/],
    ["a file's folder", ["quantize", "base", "--to", "F16", "--out", "foreign"], /is a folder, and a file/],
  ])("does not delete %s", async (_, args, message) => {
    if (!existsSync(at("link"))) symlinkSync(at("base"), at("link"));
    for (const [folder, name] of [
      ["foreign", "notes.txt"],
      ["nested", ".git/HEAD"],
    ] as const) {
      mkdirSync(dirname(at(`${folder}/${name}`)), { recursive: true });
      for (const file of ["config.json", name]) writeFileSync(at(`${folder}/${file}`), "{}");
    }
    const before = contents(".");
    const paths = args.map((arg, i) =>
      args[i - 1] === "quantize" || ["--base", "--adapter", "--out"].includes(args[i - 1] ?? "") ? at(arg) : arg,
    );
    const { code, stderr } = await lowrank(...paths, "--force");
    expect(stderr).toMatch(/^lowrank: --out [^\n]+\n$/);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
    expect(contents(".")).toEqual(before);
  });
});

describe("export", () => {
  it("writes a merged GGUF file, in F32, F16 and Q8_0", async () => {
    for (const [type, bound] of [
      ["F32", 1e-5],
      ["F16", 0.01],
      ["Q8_0", 0.1],
    ] as const) {
      const out = at(`model-${type}.gguf`);
      const done = await lowrank("export", "--adapter", at("adapter"), "--to", "gguf", "--type", type, "--out", out);
      expect([done.code, done.stderr]).toEqual([0, ""]);
      expect(done.stdout).toContain("note: the base has no tokenizer, and so the file has none");
      expect(apart(await logitsOf(await load(`model-${type}.gguf`)), adapted!)).toBeLessThan(bound);
    }
  });

  it("lays an adapter over a GGUF base, merged or as llama.cpp's adapter", async () => {
    expect((await lowrank("quantize", at("base"), "--to", "Q8_0", "--out", at("q8.gguf"))).code).toBe(0);
    const given = ["--adapter", at("adapter"), "--base", at("q8.gguf")];
    expect((await lowrank("merge", ...given, "--type", "F16", "--out", at("q8-merged.gguf"))).code).toBe(0);
    const over = await load("q8.gguf");
    await loadAdapter(over, directory(at("adapter")), { device });
    expect(apart(await logitsOf(await load("q8-merged.gguf")), await logitsOf(over))).toBeLessThan(0.01);
    expect((await lowrank("export", ...given, "--to", "gguf-lora", "--out", at("lora.gguf"))).code).toBe(0);
    const file = await GgufFile.open(fromBytes(Uint8Array.from(readFileSync(at("lora.gguf")))));
    expect(file.value("adapter.type")).toBe("lora");
    expect(file.names.length).toBe(28);
  });

  it("writes adapters for PEFT and for MLX", async () => {
    for (const [to, read] of [
      ["peft", loadAdapter],
      ["mlx", loadMlxAdapter],
    ] as const) {
      expect((await lowrank("export", "--adapter", at("adapter"), "--to", to, "--out", at(to))).code).toBe(0);
      const model = await load("base");
      await read(model, directory(at(to)), { device });
      expect(apart(await logitsOf(model), adapted!)).toBeLessThan(1e-5);
    }
    expect(readFileSync(at("peft/README.md"), "utf8")).toContain("library_name: peft");
  });

  it("takes what began with LoftQ along to the original base, and merges it where it was trained", async () => {
    const [original, model] = [await load("base"), await load("base")];
    await quantize(model);
    const names = { targetModules: "all-linear", taskType: "CAUSAL_LM" } as const;
    const adapter = await adapt(
      model,
      { ...names, r: 4, alpha: 4, initLora: "loftq", loftq: { bits: 4, iterations: 2 } },
      { device, original },
    );
    model.origin = at("base");
    const [before, want] = [await logitsOf(original), await logitsOf(model)];
    await saveAdapter(adapter, directory(at("loftq")), { keepStart: true });
    for (const to of ["peft", "hf"])
      expect((await lowrank("export", "--adapter", at("loftq"), "--to", to, "--out", at(`loftq-${to}`))).code).toBe(0);
    const plain = await load("base");
    await loadAdapter(plain, directory(at("loftq-peft")), { device });
    // untrained, it is beside the original what it began from: nothing
    expect(apart(await logitsOf(plain), before)).toBeLessThan(1e-5);
    // what was quantized is written in f16, and told from the original by far more than its rounding
    const rounding = apart(await logitsOf(await load("loftq-hf")), want);
    expect(rounding).toBeLessThan(2e-3);
    expect(apart(before, want)).toBeGreaterThan(20 * rounding);
  });

  it.each<[string[], string]>([
    [["--to", "mlx", "--base", "base"], "--to mlx: needs an adapter; give --adapter"],
    [["--to", "peft", "--adapter", "adapter", "--type", "F16"], "--type F16: peft has no such choice; leave it out"],
    [["--to", "gguf", "--base", "base", "--type", "Q4_K"], "--type Q4_K: gguf takes F16, Q8_0, F32"],
    [["--to", "gguf", "--base", "base", "--keep"], "--keep: says how merged weights of a Hugging Face folder are kept"],
    [["--to", "hf", "--base", "base", "--keep"], "--keep: no weight of the base is quantized; leave it out"],
    [["--to", "hf"], "there is nothing to work on; give --base, --adapter, or both"],
    [["--to", "hf", "--adapter", "base"], "there is no adapter_config.json in it"],
    [["--to", "pickle"], "--to pickle: expected one of peft, gguf-lora, mlx, hf, gguf"],
  ])("refuses in one line: %j", async (args, message) => {
    const paths = args.map((arg, i) => (["--base", "--adapter"].includes(args[i - 1] ?? "") ? at(arg) : arg));
    const { code, stderr } = await lowrank("export", ...paths, "--out", at("nowhere"));
    expect(code).toBe(2);
    expect(stderr).toMatch(/^lowrank: [^\n]+\n$/);
    expect(stderr).toContain(message);
    expect(existsSync(at("nowhere"))).toBe(false);
  });

  it("is called what the command line says", () => {
    expect(EXPORTS.map(({ name }) => name)).toEqual(EXPORT_WORDS.map(({ name }) => name));
    expect(GGUF_TYPES).toEqual(GGUF_MATRIX_TYPES);
  });
});
