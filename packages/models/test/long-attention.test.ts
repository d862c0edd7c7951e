/** Attention block by block: the same function and gradients as all at once, and never length × length numbers. */
import { Dropout, Rngs } from "@lowrank/nn";
import { compile, grad, init, ops, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { attend, encoderWeights, mergeHeads, type AttendingBlock } from "../src/shared/attention.ts";
import { causalMask, causalWeights } from "../src/shared/causal.ts";

const [batch, heads, d] = [1, 2, 4];
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
        Uint8Array.from({ length }, (_, i) => ((side === "left" ? i < 200 : i > 500) ? 0 : 1)),
        [1, length],
        "bool",
      );

describe.each([
  ["encoder", "none"],
  ["encoder", "right"],
  ["causal", "none"],
  ["causal", "left"],
  ["causal", "right"],
  ["causal", "none", 200],
  ["causal", "right", 200],
] as const)("%s attention, padding %s, window %s", (kind, side, window?) => {
  it("of 530 tokens gives what it gives in one piece, gradients too", async () => {
    const length = 530;
    const [q, k, v] = [part(device, length, 0), part(device, length, 1), part(device, length, 2)];
    const mask = padding(device, length, side);
    const causal = causalMask(mask, undefined, window);
    const weights = (a: Tensor, b: Tensor, from: number, { first }: AttendingBlock): Tensor =>
      kind === "causal"
        ? causalWeights(a, b, causal, { from, first })
        : encoderWeights(a, b, mask === undefined ? undefined : ops.reshape(mask, [1, 1, 1, length]));
    const { hidden, weights: whole } = attend(q, k, v, {
      weights,
      causal: kind === "causal" && causal.blind === undefined,
      window,
      dropout: new Dropout(0),
    });
    const direct = mergeHeads(ops.matmul(whole, v));
    const results = (y: Tensor): Tensor[] => [y, ...grad(ops.sum(ops.mul(y, ops.sin(y))), [q, k, v])];
    const [got, want] = [results(hidden), results(direct)];
    for (const [i, g] of got.entries()) {
      const [a, b] = [await g.floats(), await want[i]!.floats()];
      // f64 sums of 530 terms, in other groups
      a.forEach((x, j) => expect(Math.abs(x - b[j]!)).toBeLessThanOrEqual(1e-11 * (1 + Math.abs(b[j]!))));
    }
  });
});

it("a training step on 1,024 tokens with dropout needs less than one score matrix", async () => {
  const wasm = await init({ device: "wasm", threads: 1 });
  const length = 1024;
  const dropout = new Dropout(0.1);
  dropout.train(new Rngs(wasm, 1));
  const shape = [batch, heads, length, d];
  const step = compile(wasm, ({ q, k, v }) => {
    dropout.rngs!.restart();
    const { hidden } = attend(q!, k!, v!, {
      weights: (a, b, from) => causalWeights(a, b, { keys: undefined, blind: undefined }, { from }),
      causal: true,
      dropout,
    });
    const [dq, dk, dv] = grad(ops.sum(ops.square(hidden)), [q!, k!, v!]);
    return { dq: dq!, dk: dk!, dv: dv! };
  });
  const spec = { shape, dtype: "f32" } as const;
  expect(step.plan({ q: spec, k: spec, v: spec }).arenaBytes).toBeLessThan(4 * batch * heads * length * length);
  wasm.close();
});

it("a window of 128 among 2,048 tokens takes a fraction of the work, and drops the same weights", async () => {
  const wasm = await init({ device: "wasm", threads: 1 });
  const length = 2048;
  const shape = [batch, heads, length, d];
  const stepOf = (skips: boolean, p: number) => {
    const dropout = new Dropout(p);
    dropout.train(new Rngs(wasm, 1));
    return compile(wasm, ({ q, k, v }) => {
      dropout.rngs!.restart();
      const mask = causalMask(undefined, undefined, 128);
      const { hidden } = attend(q!, k!, v!, {
        weights: (a, b, from, { first }) => causalWeights(a, b, mask, { from, first }),
        causal: true,
        window: skips ? 128 : undefined,
        dropout,
      });
      return { hidden };
    });
  };
  const spec = { shape, dtype: "f32" } as const;
  const bytes = (skips: boolean): number => stepOf(skips, 0).plan({ q: spec, k: spec, v: spec }).arenaBytes;
  expect(bytes(true)).toBeLessThan(bytes(false) / 2);
  const values = (phase: number) => ({
    data: Float32Array.from({ length: batch * heads * length * d }, (_, i) => Math.sin(1.3 * i + phase)),
    shape,
  });
  const inputs = { q: values(0), k: values(1), v: values(2) };
  const [some, all] = [await stepOf(true, 0.5)(inputs), await stepOf(false, 0.5)(inputs)];
  const [a, b] = [await some.hidden.floats(), await all.hidden.floats()];
  // f32 sums of 128 terms below 2, grouped in two ways; another weight dropped would be a hundred times as much
  a.forEach((x, i) => expect(Math.abs(x - b[i]!)).toBeLessThanOrEqual(1e-5));
  wasm.close();
});
