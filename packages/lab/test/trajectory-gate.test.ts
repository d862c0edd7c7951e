/**
 * The gate for every optimization: thirty training steps with dropout, warm-up and AdamW must come out the same with compile, plan
 * cache, fusion and threads on or off, and follow the reference. One step would never run a replayed plan.
 */
import { BertForSequenceClassification, LlamaForCausalLM, parseBertConfig, parseLlamaConfig } from "@lowrank/models";
import { AdamW, clipGradNorm, Rngs, grad, linearSchedule } from "@lowrank/nn";
import { adapt, type AdapterOptions } from "@lowrank/peft";
import { compile, init, type HostTensor, type InitOptions, type MemoryInfo } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";
import { swiftShaderAvailable } from "../../tensor/test/support/swiftshader.ts";

interface Options {
  readonly device: InitOptions;
  readonly hidden?: number;
  readonly batch?: number;
  readonly steps?: number;
  readonly compiled?: boolean;
  readonly adapter?: AdapterOptions | undefined;
  readonly constantLr?: boolean;
}

interface Trajectory {
  readonly losses: number[];
  readonly rates: number[];
  readonly weights: Map<string, Float64Array>;
  readonly memory: MemoryInfo[];
}

function batchOf(step: number, batch: number, length: number): Record<string, HostTensor> {
  return {
    ids: {
      data: Int32Array.from({ length: batch * length }, (_, i) => 1 + ((i * 31 + step * 7) % 49)),
      shape: [batch, length],
    },
    mask: {
      data: Uint8Array.from({ length: batch * length }, (_, i) => Number(i % length < 5 + ((i / length) % 7))),
      shape: [batch, length],
      dtype: "bool",
    },
    labels: { data: Int32Array.from({ length: batch }, (_, i) => (i + step) % 2), shape: [batch] },
  };
}

async function train({
  device: where,
  hidden = 32,
  batch = 8,
  steps = 30,
  compiled = true,
  adapter,
  constantLr = false,
}: Options): Promise<Trajectory> {
  const device = await init(where);
  try {
    const model = new BertForSequenceClassification(
      parseBertConfig({
        vocab_size: 50,
        hidden_size: hidden,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 2 * hidden,
        max_position_embeddings: 16,
      }),
    );
    await model.materialize({ device, seed: 5 });
    if (adapter !== undefined) await adapt(model, { taskType: "SEQ_CLS", ...adapter }, { device, seed: 5 });
    for (const [name, w] of model.namedWeights()) w.name = name;
    model.train(new Rngs(device, 11));
    const factor = linearSchedule({ warmupSteps: 5, totalSteps: 40 });
    const rates: number[] = [];
    const optimizer = new AdamW(model.trainableWeights(), {
      lr: (t) => {
        rates.push(constantLr ? 3e-3 : 3e-3 * factor(t));
        return rates.at(-1)!;
      },
    });
    const build = (x: { ids: unknown; mask: unknown; labels: unknown }) => {
      const { ids, mask, labels } = x as { ids: never; mask: never; labels: never };
      const { loss } = model.forward({ inputIds: ids, attentionMask: mask, labels });
      optimizer.step(clipGradNorm(grad(loss!, optimizer.parameters), 1).grads);
      return { loss: loss! };
    };
    const step = compile(device, (x) => build(x as never));
    const losses: number[] = [];
    const memory: MemoryInfo[] = [];
    for (let i = 0; i < steps; i++) {
      const inputs = batchOf(i, batch, 12);
      if (compiled) {
        losses.push(await (await step(inputs)).loss.item());
      } else {
        const { loss } = build(
          Object.fromEntries(
            Object.entries(inputs).map(([k, t]) => [k, device.tensor(t.data, t.shape, t.dtype)]),
          ) as never,
        );
        await device.realize(loss);
        losses.push(await loss.item());
      }
      memory.push(device.memory());
    }
    const weights = new Map<string, Float64Array>();
    for (const [name, w] of model.namedWeights()) weights.set(name, Float64Array.from(await w.parameter.data()));
    return { losses, rates, weights, memory };
  } finally {
    device.close();
  }
}

const wasm: InitOptions = { device: "wasm", threads: 1 };

/** Largest relative difference of two runs' losses. */
function apart(a: Trajectory, b: Trajectory): number {
  return Math.max(...a.losses.map((l, i) => Math.abs(l - b.losses[i]!) / Math.abs(l)));
}

const targetModules = ["query", "key", "value", "dense"];

describe.each<[number, string, AdapterOptions | undefined]>([
  [30, "full fine-tuning", undefined],
  [30, "LoRA", { r: 4, alpha: 8, dropout: 0.1, targetModules }],
  [10, "IA³", { method: "ia3" }],
  // layers of three sizes that take their parts of one pair of projections
  [10, "VeRA", { method: "vera", r: 6, dropout: 0.1, targetModules }],
])("%d steps of %s", (steps, _, adapter) => {
  it("have the same bits replayed, uncompiled and without a plan cache", async () => {
    const replayed = await train({ device: wasm, steps, adapter });
    const uncompiled = await train({ device: wasm, steps, adapter, compiled: false });
    const uncached = await train({ device: { ...wasm, planCache: false }, steps, adapter, compiled: false });
    expect(uncompiled.losses).toEqual(replayed.losses);
    expect(uncached.losses).toEqual(replayed.losses);
    expect(uncompiled.weights).toEqual(replayed.weights);
    expect(uncached.weights).toEqual(replayed.weights);
  });

  // Differently fused sums round differently, 6e-8 a step; Adam's division by √v lets a difference grow while v is still small,
  // by less than a factor of two a step over the ten steps of that.
  it("agree without fusion, on the interpreter and with the reference", async () => {
    const fused = await train({ device: wasm, steps, adapter });
    for (const other of [{ ...wasm, fusion: false }, { device: "interpreter" }, { device: "reference" }] as const) {
      expect(apart(fused, await train({ device: other, steps, adapter })), JSON.stringify(other)).toBeLessThan(1e-4);
    }
    // the interpreters are slow by design: half a minute here, three times that on a machine with other work
  }, 600_000);
});

/** Twelve steps of LoRA without dropout on a small Llama; with positions that are an input, those of row r start at 5r. Bits of the losses. */
async function trainLlama(where: InitOptions, positions: boolean): Promise<{ fma: boolean; bits: string[] }> {
  const device = await init(where);
  try {
    const model = new LlamaForCausalLM(
      parseLlamaConfig({
        vocab_size: 50,
        hidden_size: 32,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        intermediate_size: 64,
        max_position_embeddings: 64,
      }),
    );
    await model.materialize({ device, seed: 5 });
    await adapt(
      model,
      {
        r: 4,
        alpha: 8,
        dropout: 0,
        targetModules: ["q_proj", "k_proj", "v_proj", "o_proj"],
        taskType: "CAUSAL_LM",
      },
      { device, seed: 5 },
    );
    model.train(new Rngs(device, 11));
    const optimizer = new AdamW(model.trainableWeights(), { lr: 3e-3 });
    const step = compile(device, ({ ids, mask, labels, at }) => {
      const { loss } = model.forward({
        inputIds: ids!,
        attentionMask: mask!,
        labels: labels!,
        ...(positions ? { positionIds: at! } : {}),
      });
      optimizer.step(clipGradNorm(grad(loss!, optimizer.parameters), 1).grads);
      return { loss: loss! };
    });
    const [batch, length] = [4, 12];
    const shape = [batch, length];
    const real = (i: number): boolean => i % length < 7 + (Math.floor(i / length) % 6);
    const losses: number[] = [];
    for (let t = 0; t < 12; t++) {
      const ids = Int32Array.from({ length: batch * length }, (_, i) => 1 + ((i * 31 + t * 7) % 49));
      const { loss } = await step({
        ids: { data: ids, shape },
        mask: { data: Uint8Array.from(ids, (_, i) => Number(real(i))), shape, dtype: "bool" },
        labels: { data: ids.map((id, i) => (real(i) ? id : -100)), shape },
        ...(positions ? { at: { data: ids.map((_, i) => 5 * Math.floor(i / length) + (i % length)), shape } } : {}),
      });
      losses.push(await loss.item());
    }
    const bits = Array.from(new Uint32Array(Float32Array.from(losses).buffer), (word) => word.toString(16));
    return { fma: device.info().description.includes("multiply-add"), bits };
  } finally {
    device.close();
  }
}

describe.each([
  ["0, 1, …", false],
  ["an input", true],
] as const)("LoRA on Llama, positions %s", (_, positions) => {
  // recorded before rotary tables became constants; a fused multiply-add rounds once where two operations round twice
  const RECORDED: Record<"fused" | "plain", string> = positions
    ? {
        fused:
          "407b724f 407a9502 4078fa8d 40777fd6 4078c217 40796c8f 407977c9 40779f0d 40763b8d 40755beb 4074feb1 4075b231",
        plain:
          "407b724f 407a9502 4078fa8d 40777fd6 4078c219 40796c8f 407977c9 40779f0d 40763b8d 40755beb 4074feb0 4075b231",
      }
    : {
        fused:
          "407b724f 407a9502 4078fa8d 40777fd6 4078c219 40796c8f 407977c9 40779f0d 40763b8d 40755beb 4074feb0 4075b231",
        plain:
          "407b724f 407a9502 4078fa8e 40777fd6 4078c219 40796c8f 407977c9 40779f0d 40763b8d 40755beb 4074feb1 4075b231",
      };

  it.each([1, 2])("has the recorded bits with %d threads", async (threads) => {
    const { fma, bits } = await trainLlama({ device: "wasm", threads }, positions);
    expect(bits.join(" ")).toBe(RECORDED[fma ? "fused" : "plain"]);
  });

  it("has them without a plan cache, too", async () => {
    const { fma, bits } = await trainLlama({ ...wasm, planCache: false }, positions);
    expect(bits.join(" ")).toBe(RECORDED[fma ? "fused" : "plain"]);
  });
});

it("a schedule is followed, not frozen at the step that was captured", async () => {
  const followed = await train({ device: wasm });
  const factor = linearSchedule({ warmupSteps: 5, totalSteps: 40 });
  expect(followed.rates).toEqual(Array.from({ length: 30 }, (_, t) => 3e-3 * factor(t)));
  const frozen = await train({ device: wasm, constantLr: true });
  // the first step has rate 0 under warm-up: the second loss of the frozen run already differs
  expect(frozen.losses[0]).toBe(followed.losses[0]);
  expect(apart(followed, frozen)).toBeGreaterThan(1e-3);
});

it.each<[string, number, AdapterOptions | undefined]>([
  ["full fine-tuning", 30, undefined],
  ["IA³", 10, { method: "ia3" }],
  ["VeRA", 10, { method: "vera", r: 64, targetModules }],
])("one thread and two write the same bytes: %s", async (_, steps, adapter) => {
  const [one, two] = [
    await train({ device: { device: "wasm", threads: 1 }, hidden: 128, batch: 32, steps, adapter }),
    await train({ device: { device: "wasm", threads: 2 }, hidden: 128, batch: 32, steps, adapter }),
  ];
  expect(two.losses).toEqual(one.losses);
  expect(two.weights).toEqual(one.weights);
});

it("two hundred steps leave memory where twenty left it", async () => {
  const { memory } = await train({ device: wasm, steps: 200 });
  expect(memory[199]).toEqual(memory[19]);
});

it("one step on webgpu gives the loss and the weights of wasm", async ({ skip }) => {
  const reason = await swiftShaderAvailable();
  if (reason !== undefined) return skip(reason);
  const [gpu, cpu] = [await train({ device: { device: "webgpu" }, steps: 2 }), await train({ device: wasm, steps: 2 })];
  expect(apart(cpu, gpu)).toBeLessThan(1e-5);
  // The first step's rate is 0; after the second a weight has moved by up to lr = 6e-4 along g/√v: where g is rounding noise, either way.
  let far = 0;
  let count = 0;
  for (const [name, values] of cpu.weights) {
    const other = gpu.weights.get(name)!;
    count += values.length;
    far += values.filter((v, i) => Math.abs(v - other[i]!) > 1e-6 + 1e-5 * Math.abs(v)).length;
  }
  expect(far / count).toBeLessThan(0.01);
});
