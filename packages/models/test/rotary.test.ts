/** Rotary tables are as long as the positions in use, on a device once, and positions are values: a captured plan serves all of them. */
import { compile, init, ops, type Compiled, type Device, type HostTensor, type Tensor } from "@lowrank/tensor";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LlamaForCausalLM, parseLlamaConfig } from "../src/index.ts";
import { Rotary } from "../src/shared/rotary.ts";
import { SMALL } from "./small-models.ts";

const WIDTH = 8;
const LIMIT = 100;
const THETA = 10000;
/** cos and sin, f32. */
const bytesOf = (rows: number): number => 2 * 4 * rows * WIDTH;

let device: Device;
// each its own: constants outlive a test
beforeEach(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterEach(() => {
  device.close();
});

/** Tables of positions that are an input, turned to a vector that depends on all of them. */
function lookUp(rotary: Rotary): Compiled<{ cos: Tensor; sin: Tensor }> {
  return compile(device, ({ at }) => {
    const { cos, sin } = rotary.tables(ops.cast(at!, "f32"), at!);
    return { cos: ops.neg(ops.neg(cos)), sin: ops.neg(ops.neg(sin)) };
  });
}
const positions = (...values: number[]): { at: HostTensor } => ({
  at: { data: Int32Array.from(values), shape: [1, values.length] },
});
const wanted = (f: (angle: number) => number, values: readonly number[]): number[] =>
  values.flatMap((p) =>
    Array.from({ length: WIDTH }, (_, i) => Math.fround(f(p * (1 / THETA ** ((2 * (i % (WIDTH / 2))) / WIDTH))))),
  );

async function uploads(body: () => Promise<unknown>): Promise<number> {
  return (await device.profile(body)).uploadedBytes;
}

describe("positions that are an input", () => {
  it("lengthen the table when they go beyond it, and never otherwise", async () => {
    const rotary = new Rotary({ theta: THETA, width: WIDTH, maxPositions: LIMIT });
    const step = lookUp(rotary);
    const call = async (...values: number[]): Promise<number> => {
      let out: { cos: Tensor; sin: Tensor } | undefined;
      const bytes = await uploads(async () => (out = await step(positions(...values))));
      expect(Array.from(await out!.cos.floats()), `cos at ${values.join()}`).toEqual(wanted(Math.cos, values));
      expect(Array.from(await out!.sin.floats()), `sin at ${values.join()}`).toEqual(wanted(Math.sin, values));
      return bytes - 4 * values.length;
    };
    expect(await call(0, 1, 2)).toBe(bytesOf(4));
    expect(await call(3, 0, 1)).toBe(0);
    expect(await call(4, 0, 0)).toBe(bytesOf(8));
    expect(await call(7, 6, 5)).toBe(0);
    // at most what the model has, which is no power of two
    expect(await call(LIMIT - 1, 70, 5)).toBe(bytesOf(LIMIT));
    expect(await call(1, 2, 3)).toBe(0);
    expect(step.info()).toHaveLength(1);
  });

  it("are refused where the model has no such position, replays included", async () => {
    const step = lookUp(new Rotary({ theta: THETA, width: WIDTH, maxPositions: LIMIT }));
    for (const bad of [LIMIT, -1, 1 << 20]) {
      await expect(step(positions(0, bad))).rejects.toThrow(
        `rotary: position ${bad} at [0, 1] of input "at" lies outside [0, ${LIMIT})`,
      );
      await step(positions(0, 1));
    }
  });
});

it("positions that the host knows ask for as long a table as they need, those that a device computes for the whole", async () => {
  const at = device.tensor([2, 5, 9], [1, 3], "i32");
  const rotary = new Rotary({ theta: THETA, width: WIDTH, maxPositions: LIMIT });
  const looked = (ids: Tensor): Promise<number> =>
    uploads(async () => {
      const { cos } = rotary.tables(ops.cast(ids, "f32"), ids);
      expect(Array.from(await ops.mul(cos, 1).floats())).toEqual(wanted(Math.cos, [2, 5, 9]));
    });
  const ids = 4 * 3;
  // cos alone is read
  expect(await looked(at)).toBe(ids + bytesOf(16) / 2);
  expect(await looked(ops.sub(ops.add(at, 1), 1))).toBe(ids + bytesOf(LIMIT) / 2);
  expect(await looked(ops.sub(ops.add(at, 1), 1))).toBe(ids);
});

describe.each([false, true])("a model, with positions as an input: %s", (given) => {
  it("uploads no table at its second call, nor does another model of the same positions", async () => {
    const sizes = { vocab: 19, heads: 2, width: WIDTH, layers: 2, positions: 4096 };
    const callOf = async (): Promise<() => Promise<number>> => {
      const model = new LlamaForCausalLM(parseLlamaConfig(SMALL["LlamaForCausalLM"]!(sizes)));
      await model.materialize({ device, seed: 3 });
      const step = compile(device, ({ ids, at }) => ({
        logits: model.forward({ inputIds: ids!, ...(given ? { positionIds: at! } : {}) }).logits,
      }));
      const line = Int32Array.from({ length: 10 }, (_, i) => 1 + i);
      const inputs = { ids: { data: line, shape: [1, 10] }, ...(given ? positions(...line) : {}) };
      return () => uploads(() => step(inputs));
    };
    const inputs = (given ? 2 : 1) * 40;
    const first = await callOf();
    const whole = await first();
    // 16 positions and not 4096
    expect(whole).toBe(inputs + bytesOf(16));
    expect(await first()).toBe(inputs);
    expect(await first()).toBe(inputs);
    expect(await (await callOf())()).toBe(inputs);
  });
});

it("attention token by token over caches of keys and values is that of the whole text, in one plan for all positions", async () => {
  const [batch, heads, length, room] = [2, 3, 7, 16];
  const rotary = new Rotary({ theta: THETA, width: WIDTH, maxPositions: LIMIT });
  const shape = (n: number): number[] => [batch, heads, n, WIDTH];
  const size = batch * heads * length * WIDTH;
  const [q, k, v] = [0, 1, 2].map((s) => Float32Array.from({ length: size }, (_, i) => Math.sin(i * 0.7 + s)));
  const [tq, tk, tv] = [q!, k!, v!].map((data) => device.tensor(data, shape(length), "f32")) as [
    Tensor,
    Tensor,
    Tensor,
  ];
  const { cos, sin } = rotary.tables(device.zeros([batch, length, 1], "f32"), undefined);
  const want = await ops
    .matmul(ops.attentionWeights(ops.rope(tq, cos, sin), ops.rope(tk, cos, sin), { causal: true }), tv)
    .floats();

  const [keys, values] = [0, 1].map(() =>
    device.parameter(new Float32Array(batch * heads * room * WIDTH), shape(room), "f32"),
  );
  const step = compile(device, ({ query, key, value, at }) => {
    const turned = rotary.tables(ops.cast(at!, "f32"), at!);
    // one place for all texts: that of the first
    const place = ops.slice(ops.reshape(at!, [batch]), 0, 0, 1);
    keys!.assignRows(place, ops.rope(key!, turned.cos, turned.sin), 2);
    values!.assignRows(place, value!, 2);
    const seen = ops.le(ops.reshape(device.arange(room), [1, 1, 1, room]), ops.reshape(at!, [batch, 1, 1, 1]));
    const weights = ops.attentionWeights(ops.rope(query!, turned.cos, turned.sin), keys!.value, { mask: seen });
    return { mixed: ops.matmul(weights, values!.value) };
  });
  const token = (data: Float32Array, t: number): HostTensor => ({
    data: Float32Array.from(
      { length: batch * heads * WIDTH },
      (_, i) => data[(Math.floor(i / WIDTH) * length + t) * WIDTH + (i % WIDTH)]!,
    ),
    shape: shape(1),
  });
  for (let t = 0; t < length; t++) {
    const at = { data: new Int32Array(batch).fill(t), shape: [batch, 1] };
    const { mixed } = await step({ query: token(q!, t), key: token(k!, t), value: token(v!, t), at });
    (await mixed.floats()).forEach((x, i) =>
      expect(x).toBeCloseTo(want[(Math.floor(i / WIDTH) * length + t) * WIDTH + (i % WIDTH)]!, 5),
    );
  }
  expect(step.info()).toHaveLength(1);
});
