/** `lowrank inspect` on every folder and file of the fixtures and the data beside them: an inspection of the declared shape, or one typed line. */
import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { fromPretrained, metaModel } from "@lowrank/models";
import { AdamW, clipGradNorm, Rngs } from "@lowrank/nn";
import { adapt } from "@lowrank/peft";
import { compile, grad, init, LowrankError, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeInspection, inspect, inspectionSchema, planMemory, type Inspection } from "../src/index.ts";

const fixtures = resolve(import.meta.dirname, "../../..", process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures");
const present = existsSync(join(fixtures, "families", "manifest.json"));
const data = resolve(fixtures, "../data");

/** Folders to this depth, and files that are checkpoints by themselves. */
function places(folder: string, depth: number): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return [path, ...(depth > 1 ? places(path, depth - 1) : [])];
    return /\.(gguf|safetensors|bin)$/.test(entry.name) ? [path] : [];
  });
}

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());

const everywhere = present
  ? [...["families", "models", "peft", "gguf"].flatMap((f) => places(join(fixtures, f), 2)), ...places(data, 1)]
  : [];

describe.skipIf(!present)("inspect", () => {
  it.each(everywhere.map((path) => [path.slice(resolve(fixtures, "..").length + 1), path]))("%s", async (_, path) => {
    let inspection: Inspection;
    try {
      inspection = await inspect(path);
    } catch (error) {
      expect(error).toBeInstanceOf(LowrankError);
      const { kind, message } = error as LowrankError;
      expect(["input", "environment"]).toContain(kind);
      expect(message).not.toContain("\n");
      expect(message.startsWith(resolve(path)) || message.includes(path)).toBe(true);
      return;
    }
    expect(inspectionSchema.parse(JSON.parse(JSON.stringify(inspection)))).toEqual(inspection);
    for (const tensors of [false, true]) {
      const text = describeInspection(inspection, { tensors, width: 80 });
      expect(text).not.toMatch(/undefined|NaN|\[object|null/);
      expect(text.split("\n").filter((line) => line !== line.trimEnd())).toEqual([]);
    }
  });

  const known = ["minilm-l6", "stories260K/stories260K.bin", "bert-tiny-sst2-encoder", "bert-base-uncased-tokenizer"];
  it.each(known.filter((name) => existsSync(join(data, name))))("finds something in data/%s", async (name) => {
    expect((await inspect(join(data, name))).kind).toMatch(/^(checkpoint|tensors|tokenizer)$/);
  });
});

/** A training step as `planMemory` plans it, really made. @returns bytes of the device, and what its weights took */
async function trained(path: string, rows: number, length: number): Promise<{ peak: number; held: number }> {
  const real = await init({ device: "wasm", threads: 1 });
  const { model } = await fromPretrained(path, { device: real });
  const held = real.memory().persistent;
  await adapt(model, { r: 8, taskType: "CAUSAL_LM" }, { device: real });
  model.train(new Rngs(real, 0));
  const optimizer = new AdamW(model.trainableWeights(), { lr: 1e-4 });
  const step = compile(real, (inputs: Record<string, Tensor>) => {
    const { loss } = model.forward(inputs as never);
    optimizer.step(clipGradNorm(grad(loss!, optimizer.parameters), 1).grads);
    return { loss: loss! };
  });
  const ids = { data: new Int32Array(rows * length).fill(3), shape: [rows, length] };
  await step({
    inputIds: ids,
    labels: ids,
    attentionMask: { data: new Uint8Array(rows * length).fill(1), shape: [rows, length], dtype: "bool" },
  });
  const { persistent, arena, scratch } = real.memory();
  real.close();
  return { peak: persistent + arena + scratch, held };
}

describe.skipIf(!present)("planned memory", () => {
  it.each([
    "families/bnb-llama-nf4-nested",
    "families/bnb-llama-int8",
    "families/qwen3-lm",
    "families/gemma3-lm",
    "models/gpt2-lm",
  ])("of %s is what training takes", async (name) => {
    const path = join(fixtures, name, "checkpoint");
    const { memory } = await inspect(path, { device });
    const { kept, weightBytes, training } = memory!.ways[0]!;
    expect(kept).toBe("file");
    const { rows, peakBytes } = training[1]!;
    const { peak, held } = await trained(path, rows, memory!.length);
    expect([rows, weightBytes]).toEqual([8, held]);
    // results of a run have small buffers of their own
    expect(Math.abs(peakBytes - peak)).toBeLessThan(4096 + 0.002 * peak);
  });

  it("of a GGUF file counts its blocks as they are", async () => {
    const path = join(fixtures, "gguf", "llama-mixed.gguf");
    const real = await init({ device: "wasm", threads: 1 });
    await fromPretrained(path, { device: real });
    const { memory } = await inspect(path, { device });
    // halves are widened by default, and kept here
    expect(memory!.ways[0]!.weightBytes).toBeLessThanOrEqual(real.memory().persistent);
    real.close();
  });
});

const DEEP = {
  vocab_size: 300,
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 7,
  num_attention_heads: 4,
  max_position_embeddings: 200,
  pad_token_id: 0,
};

it.each([
  ["LlamaForCausalLM", { model_type: "llama", num_key_value_heads: 2 }, "CAUSAL_LM"],
  [
    "Gemma3ForCausalLM",
    { model_type: "gemma3_text", num_key_value_heads: 2, head_dim: 16, sliding_window: 32 },
    "CAUSAL_LM",
  ],
  ["BertForSequenceClassification", { model_type: "bert" }, "SEQ_CLS"],
])("counting up %s from a few layers comes to what planning all of them says", async (architecture, own, task) => {
  const model = metaModel(architecture, { ...DEEP, ...own });
  const [counted, whole] = [
    await planMemory(model, [], { device, task, available: null }),
    await planMemory(model, [], { device, task, available: null, whole: 7 }),
  ];
  expect([counted.plannedLayers.length, whole.plannedLayers]).toEqual([2, [7]]);
  for (const [i, { weightBytes, forward, training }] of whole.ways.entries()) {
    const other = counted.ways[i]!;
    expect(other.weightBytes).toBe(weightBytes);
    expect(training.length).toBe(2);
    for (const [k, step] of [forward, ...training].entries()) {
      const got = [other.forward, ...other.training][k]!.peakBytes;
      expect(Math.abs(got / step.peakBytes - 1), `${architecture} ${counted.ways[i]!.kept} ${k}`).toBeLessThan(0.02);
    }
  }
});

it("a model of seven billion parameters is planned without its memory", async () => {
  const model = metaModel("LlamaForCausalLM", { model_type: "llama" });
  const { ways } = await planMemory(model, [], { device, task: "CAUSAL_LM", available: 64 * 2 ** 30 });
  const [half, four] = ways;
  expect([half!.kept, half!.weightBytes, half!.forward.fits]).toEqual(["f16", 2 * 6_738_415_616, false]);
  expect(four!.weightBytes).toBeLessThan(4 * 2 ** 30);
  expect([four!.forward.fits, four!.training.map(({ fits }) => fits)]).toEqual([true, [false, false]]);
  expect(device.memory().persistent).toBe(0);
});

it.skipIf(present)("has a fixtures folder (set LOWRANK_FIXTURES)", () => {
  expect.unreachable("no fixtures");
});
