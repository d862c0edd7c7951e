/** Rotary positions whose base follows the longest text: tables of lengths, and positions that only the device knows. */
import { compile, init, ops, type Device, type HostTensor, type Tensor } from "@lowrank/tensor";
import { afterEach, beforeEach, expect, it } from "vitest";
import { LlamaForCausalLM, parseLlamaConfig } from "../src/index.ts";
import { DynamicRotary } from "../src/shared/dynamic-rotary.ts";
import { attentionFactor, frequencies, reach, type RopeScaling } from "../src/shared/rope-scaling.ts";
import { SMALL } from "./small-models.ts";

const WIDTH = 8;
const THETA = 10000;
const scaling = { kind: "dynamic", factor: 2, positions: 7 } as const;

let device: Device;
beforeEach(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterEach(() => {
  device.close();
});

/** Angle of element i at position p, of a text whose longest position is `length` − 1. */
function angle(p: number, i: number, length: number): number {
  const stretched = Math.max(length, scaling.positions);
  const growth = (scaling.factor * stretched) / scaling.positions - (scaling.factor - 1);
  const base = THETA * growth ** (WIDTH / (WIDTH - 2));
  return p / base ** ((2 * (i % (WIDTH / 2))) / WIDTH);
}

it("positions that are an input are turned by the longest of each call, in one plan", async () => {
  const rotary = new DynamicRotary({ theta: THETA, width: WIDTH, scaling });
  const step = compile(device, ({ at }) => rotary.tables(ops.cast(at!, "f32"), at!) as { cos: Tensor; sin: Tensor });
  for (const positions of [
    [0, 1, 2],
    [3, 9, 4],
    [40, 2, 300],
    [6, 5, 4],
  ]) {
    const out = await step({ at: { data: Int32Array.from(positions), shape: [1, 3] } });
    const [cos, sin] = [await out.cos.floats(), await out.sin.floats()];
    const length = Math.max(...positions) + 1;
    positions.forEach((p, row) => {
      for (let i = 0; i < WIDTH; i++) {
        const want = angle(p, i, length);
        // f32: an angle has some roundings of itself
        const bound = 2 ** -22 * (1 + want);
        expect(Math.abs(cos[row * WIDTH + i]! - Math.cos(want))).toBeLessThanOrEqual(bound);
        expect(Math.abs(sin[row * WIDTH + i]! - Math.sin(want))).toBeLessThanOrEqual(bound);
      }
    });
  }
  expect(step.info()).toHaveLength(1);
  await expect(step({ at: { data: Int32Array.of(0, -1, 2), shape: [1, 3] } })).rejects.toThrow("rotary: position -1");
});

it("a model longer than its positions uploads no table at its second call, and says the same with positions", async () => {
  const config = {
    ...SMALL["LlamaForCausalLM"]!({ vocab: 19, heads: 2, width: WIDTH, layers: 2, positions: 7 }),
    rope_scaling: { rope_type: "dynamic", factor: 2 },
  };
  const model = new LlamaForCausalLM(parseLlamaConfig(config));
  await model.materialize({ device, seed: 3 });
  const step = compile(device, ({ ids }) => ({ logits: model.forward({ inputIds: ids! }).logits }));
  const line = Int32Array.from({ length: 12 }, (_, i) => 1 + i);
  const ids: HostTensor = { data: line, shape: [1, 12] };
  const bytes = async (): Promise<number> => (await device.profile(() => step({ ids }))).uploadedBytes;
  expect(await bytes()).toBe(4 * 12 + 2 * 4 * 12 * WIDTH);
  expect(await bytes()).toBe(4 * 12);
  const { logits } = await step({ ids });
  const positionIds = device.tensor(
    line.map((v) => v - 1),
    [1, 12],
    "i32",
  );
  const given = await model.forward({ inputIds: device.tensor(line, [1, 12], "i32"), positionIds }).logits.floats();
  // f32, angles of at most 11 in two roundings
  (await logits.floats()).forEach((v, i) => expect(Math.abs(v - given[i]!)).toBeLessThanOrEqual(1e-4));
});

it("scalings keep fast angles and slow down the others, and reach as far as their factor says", () => {
  const plain = frequencies(THETA, 16, { kind: "default" }, 0);
  const blends: readonly (readonly [RopeScaling, number])[] = [
    [{ kind: "llama3", factor: 8, lowFreqFactor: 1, highFreqFactor: 4, positions: 64 }, 512],
    [{ kind: "yarn", factor: 4, attentionFactor: 1.2, betaFast: 4, betaSlow: 1, truncate: true, positions: 64 }, 256],
  ];
  for (const [blend, far] of blends) {
    const got = frequencies(THETA, 16, blend, 0);
    const ratios = Array.from(got, (f, i) => plain[i]! / f);
    const factor = (blend as { factor: number }).factor;
    expect(ratios[0]).toBe(1);
    expect(Math.abs(ratios.at(-1)! - factor)).toBeLessThanOrEqual(1e-12);
    ratios.forEach((r, i) => expect(r).toBeGreaterThanOrEqual(i === 0 ? 1 : ratios[i - 1]! - 1e-12));
    expect(reach(64, blend)).toBe(far);
    expect(attentionFactor(blend)).toBe(blend.kind === "yarn" ? 1.2 : 1);
  }
  expect(reach(64, { kind: "linear", factor: 1.5 })).toBe(96);
  expect(reach(64, { kind: "default" })).toBe(64);
});
