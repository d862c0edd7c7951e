/** Attention of long texts: the same function and gradients as all at once, in memory that grows with the length and not with its square. */
import { Dropout, Rngs } from "@lowrank/nn";
import { compile, grad, init, ops, type Device, type Parameter, type Tensor } from "@lowrank/tensor";
import { baseTarget, registerBackend, type Backend, type Kernel, type Plan } from "@lowrank/tensor/backend";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { attend, encoderSight, keyMask, mergeHeads, type Sight } from "../src/shared/attention.ts";
import { causalMask, causalSight } from "../src/shared/causal.ts";

const [batch, heads, d] = [1, 2, 4];
/** More than are worked on at once. */
const LENGTH = 280;
let device: Device;
beforeAll(async () => {
  device = await init({ device: "reference" });
});
afterAll(() => device.close());

const part = (on: Device, length: number, phase: number): Tensor =>
  on.tensor(
    Float64Array.from({ length: batch * heads * length * d }, (_, i) => Math.sin(1.3 * i + phase)),
    [batch, heads, length, d],
    on.defaultFloat,
  );
const padding = (on: Device, length: number, side: "left" | "right" | "none"): Tensor | undefined =>
  side === "none"
    ? undefined
    : on.tensor(
        Uint8Array.from({ length }, (_, i) => ((side === "left" ? i < 100 : i > 250) ? 0 : 1)),
        [1, length],
        "bool",
      );
const sightOf = (kind: "encoder" | "causal", mask: Tensor | undefined, window?: number): Sight =>
  kind === "causal" ? causalSight(causalMask(mask, undefined, window)) : encoderSight(keyMask(mask));

describe.each([
  ["encoder", "none"],
  ["encoder", "right"],
  ["causal", "none"],
  ["causal", "left"],
  ["causal", "right"],
  ["causal", "none", 100],
  ["causal", "right", 100],
] as const)("%s attention, padding %s, window %s", (kind, side, window?) => {
  const results = (on: Device): { hidden: Tensor; weights: Tensor; inputs: Tensor[] } => {
    const inputs = [part(on, LENGTH, 0), part(on, LENGTH, 1), part(on, LENGTH, 2)] as const;
    const sight = sightOf(kind, padding(on, LENGTH, side), window);
    return { ...attend(...inputs, sight, new Dropout(0)), inputs: [...inputs] };
  };
  const withGradients = (y: Tensor, inputs: readonly Tensor[]): Tensor[] => [
    y,
    ...grad(ops.sum(ops.mul(y, ops.sin(y))), inputs),
  ];

  it("of 280 tokens gives what it gives in one piece, tile by tile too, gradients as well", async () => {
    const wasm = await init({ device: "wasm", threads: 1 });
    const [whole, tiled] = [results(device), results(wasm)];
    const want = withGradients(mergeHeads(ops.matmul(whole.weights, whole.inputs[2]!)), whole.inputs);
    const defined = withGradients(whole.hidden, whole.inputs);
    const got = withGradients(tiled.hidden, tiled.inputs);
    const profile = await wasm.profile(() => wasm.realize(...got));
    expect(profile.rows.some(({ label }) => label.includes("by tiles"))).toBe(true);
    for (const [i, x] of want.entries()) {
      const [a, b, c] = [await x.floats(), await defined[i]!.floats(), await got[i]!.floats()];
      const worst = (of: Float64Array): number =>
        Math.max(...a.map((v, j) => Math.abs(v - of[j]!) / (1 + Math.abs(v))));
      // f64 sums of 280 terms, in other groups
      expect(worst(b)).toBeLessThanOrEqual(1e-11);
      // f32: gradients of keys sum 280 terms of about 1, each off by a few roundings, and by 280 more of their sum
      expect(worst(c)).toBeLessThanOrEqual(280 * 2 ** -22);
    }
    wasm.close();
  });
});

/** A device that makes plans and runs none. */
let plans: Plan[] = [];
registerBackend("planner", (): Backend => ({
  name: "planner",
  target: baseTarget,
  synchronous: false,
  alloc: (bytes) => ({ bytes }),
  free: () => {},
  upload: () => {},
  read: () => Promise.reject(new Error("nothing runs here")),
  prepare: (plan) => {
    plans.push(plan);
    return { plan };
  },
  run: () => {},
  memory: () => ({ persistent: 0, arena: 0, scratch: 0, reserved: 0, buffers: 0 }),
  info: () => ({ name: "planner", description: "plans", threads: 1 }),
  close: () => {},
}));

interface Planned {
  readonly bytes: number;
  /** Multiply-adds of products. */
  readonly work: number;
  readonly kernels: number;
}

interface Shape {
  readonly length: number;
  readonly shared?: number;
  readonly p?: number;
}

const [HEADS, WIDTH] = [4, 16];

/** A step of attention, forward and backward. What comes in and goes out is in memory of its own, so that the arena is what attention needs. */
async function planOf(sight: (mask: Tensor) => Sight, { length, shared = HEADS, p = 0 }: Shape): Promise<Planned> {
  const planner = await init({ device: "planner" });
  const dropout = new Dropout(p);
  if (p > 0) dropout.train(new Rngs(planner, 1));
  const of = (count: number): Parameter =>
    planner.parameter(new Float32Array(count * length * WIDTH), [1, count, length, WIDTH]);
  const [q, k, v] = [of(HEADS), of(shared), of(shared)];
  const out = planner.parameter(new Float32Array(HEADS * length * WIDTH), [1, length, HEADS * WIDTH]);
  const step = compile(planner, ({ mask }) => {
    if (p > 0) dropout.rngs!.restart();
    const { hidden } = attend(q.value, k.value, v.value, sight(mask!), dropout);
    const gradients = grad(ops.sum(ops.square(hidden)), [q, k, v]);
    out.assign(hidden);
    [q, k, v].forEach((x, i) => x.assign(gradients[i]!));
    return {};
  });
  plans = [];
  step.plan({ mask: { shape: [1, length], dtype: "bool" } });
  const { arenaBytes: bytes, kernels, steps } = plans.at(-1)!;
  const work = steps.reduce((sum, { kernel }) => sum + multiplyAdds(kernels[kernel]!), 0);
  planner.close();
  return { bytes, work, kernels: kernels.length };
}

function multiplyAdds(kernel: Kernel): number {
  if (kernel.kind !== "gemm") return 0;
  const results = kernel.batch.reduce((a, b) => a * b, kernel.m * kernel.n);
  return kernel.products.reduce((sum, { k }) => sum + results * k, 0);
}

const WINDOW = 512;
/** Queries and keys of a tile of long texts. */
const TILE = 256;
const kinds: Record<string, (mask: Tensor) => Sight> = {
  encoder: (mask) => encoderSight(keyMask(mask)),
  causal: () => causalSight(causalMask(undefined)),
  "causal with padding": (mask) => causalSight(causalMask(mask)),
  "a window": () => causalSight(causalMask(undefined, undefined, WINDOW)),
  "a window with padding": (mask) => causalSight(causalMask(mask, undefined, WINDOW)),
};

describe("a step on long texts", () => {
  it.each([
    ...Object.entries(kinds).map(([name, sight]) => [name, sight, {}] as const),
    ["causal with dropout", kinds["causal"]!, { p: 0.1 }] as const,
    ["four heads on one of keys", kinds["causal with padding"]!, { shared: 1 }] as const,
  ])("needs memory that grows with the length: %s", async (_name, sight, options) => {
    const [half, whole] = [
      await planOf(sight, { length: 2048, ...options }),
      await planOf(sight, { length: 4096, ...options }),
    ];
    expect(whole.bytes).toBeLessThan(2.3 * half.bytes);
    // tiles of all heads, and a few tensors of the length
    expect(whole.bytes).toBeLessThan(4 * HEADS * (2 * TILE * TILE + 12 * 4096 * WIDTH));
    // tiles share their kernels, however many there are
    expect(whole.kernels).toBe(half.kernels);
  });

  it("does not compute what masks hide", async () => {
    const length = 4096;
    // two products forward, five backward
    const full = 7 * length * length * HEADS * WIDTH;
    const work = async (name: string): Promise<number> => (await planOf(kinds[name]!, { length })).work;
    expect(await work("encoder")).toBe(full);
    expect(await work("causal")).toBeLessThanOrEqual(0.56 * full);
    expect(await work("a window")).toBeLessThan(((WINDOW + TILE) / length) * full);
    // what queries get that see padding only is made of a few small products: width² for each token
    const few = 6 * length * HEADS * WIDTH * WIDTH;
    expect(await work("causal with padding")).toBeLessThanOrEqual(0.56 * full + few);
    expect(await work("a window with padding")).toBeLessThan(((WINDOW + TILE) / length) * full + few);
  });
});

it("drops the same weights whatever is left out", async () => {
  const wasm = await init({ device: "wasm", threads: 1 });
  const length = LENGTH;
  const of = (window: number | undefined, mask: Tensor | undefined, dropout: Dropout): Tensor => {
    dropout.rngs!.restart();
    const [q, k, v] = [part(wasm, length, 0), part(wasm, length, 1), part(wasm, length, 2)];
    return attend(q, k, v, causalSight(causalMask(mask, undefined, window)), dropout).hidden;
  };
  const dropout = new Dropout(0.5);
  dropout.train(new Rngs(wasm, 1));
  const ones = wasm.tensor(new Uint8Array(length).fill(1), [1, length], "bool");
  // a window as long as the text hides nothing, nor does a mask without padding
  const both = [of(undefined, undefined, dropout), of(length - 1, ones, dropout)];
  await wasm.realize(...both);
  const all = await Promise.all(both.map((x) => x.floats()));
  // but for the last query's first key: f32 sums of 280 terms below 2; another weight dropped would be a hundred times as much
  all[0]!.forEach((x, i) => {
    if (i < (length - 1) * heads * d) expect(Math.abs(x - all[1]![i]!)).toBeLessThanOrEqual(1e-5);
  });
  wasm.close();
});
