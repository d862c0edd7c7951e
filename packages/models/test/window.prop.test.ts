/** Causal attention with a window, padding and packed texts, against plain loops. */
import { fc, test } from "@fast-check/vitest";
import { grad, init, ops, RandomStream, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, expect } from "vitest";
import { repeatHeads } from "../src/shared/attention.ts";
import { causalMask, causalSight, causalWeights } from "../src/shared/causal.ts";

let device: Device;
beforeAll(async () => {
  device = await init({ device: "reference" });
});
afterAll(() => device.close());

const WIDTH = 2;

interface Row {
  /** 1 for each token that is no padding; undefined: there is no mask. */
  readonly mask: readonly number[] | undefined;
  /** Where a text of its own begins; undefined: no positions are given. */
  readonly cuts: readonly boolean[] | undefined;
}

const row = (length: number): fc.Arbitrary<Row> =>
  fc.record({
    mask: fc.option(
      fc
        .tuple(fc.nat({ max: length - 1 }), fc.boolean())
        .map(([pads, left]) => Array.from({ length }, (_, i) => Number(left ? i >= pads : i < length - pads))),
      { nil: undefined },
    ),
    cuts: fc.option(fc.array(fc.boolean(), { minLength: length, maxLength: length }), { nil: undefined }),
  });

const cases = fc.integer({ min: 1, max: 9 }).chain((length) =>
  fc.record({
    length: fc.constant(length),
    window: fc.option(fc.integer({ min: 1, max: length + 1 }), { nil: undefined }),
    row: row(length),
    seed: fc.nat({ max: 1000 }),
  }),
);

/** Row `query` of softmax(q·kᵀ/√d) over the keys that it may see; over all of them evenly where these are padding only. */
function weightsOf(
  scores: Float64Array,
  length: number,
  query: number,
  { mask, cuts }: Row,
  window = Infinity,
): number[] {
  const text = (i: number): number => (cuts ?? []).slice(1, i + 1).filter(Boolean).length;
  const near = Array.from({ length }, (_, key) => key <= query && key > query - window);
  if (mask !== undefined && !near.some((inside, key) => inside && mask[key] === 1)) return near.map(() => 1 / length);
  const e = near.map((inside, key) =>
    inside && (mask === undefined || mask[key] === 1) && text(key) === text(query)
      ? Math.exp(scores[query * length + key]!)
      : 0,
  );
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((v) => (sum === 0 ? 0 : v / sum));
}

test.prop([cases])("weights over a window", async ({ length, window, row: r, seed }) => {
  // with a mask padding belongs to the text before it, whatever its position says: only texts without padding are packed here
  const { mask, cuts } = r.mask?.includes(0) === true ? { ...r, cuts: undefined } : r;
  const values = (label: string): Float64Array => {
    const out = new Float64Array(length * WIDTH);
    new RandomStream(seed, label).fillNormal(out, 0, 1);
    return out;
  };
  const [q, k] = [values("q"), values("k")];
  const scores = Float64Array.from({ length: length * length }, (_, i) => {
    const [query, key] = [Math.floor(i / length), i % length];
    let sum = 0;
    for (let d = 0; d < WIDTH; d++) sum += q[query * WIDTH + d]! * k[key * WIDTH + d]!;
    return sum / Math.sqrt(WIDTH);
  });
  // positions count on, and begin again at a cut
  const positions = cuts?.reduce<number[]>((all, cut, i) => [...all, i === 0 || cut ? 0 : all[i - 1]! + 1], []);
  const seen = causalMask(
    mask === undefined ? undefined : device.tensor(Uint8Array.from(mask), [1, length], "bool"),
    positions === undefined ? undefined : device.tensor(positions, [1, length], "i32"),
    window,
  );
  const wide = (x: Float64Array) => device.tensor(x, [1, 1, length, WIDTH]);
  const weights = causalWeights(wide(q), wide(k), seen);
  const got = await weights.floats();
  const want = Array.from({ length }, (_, i) => weightsOf(scores, length, i, { mask, cuts }, window)).flat();
  expect(got.length).toBe(want.length);
  // f64, at most nine terms of about 1
  want.forEach((v, i) => expect(Math.abs(got[i]! - v)).toBeLessThanOrEqual(1e-13));

  // what long texts are computed by, without a matrix: the same function, gradients too, also where two heads of queries share one of keys
  const queries = ops.concat([wide(q), wide(values("other"))], 1);
  const [k1, v1] = [wide(k), wide(values("v"))];
  const two = (x: Tensor): Tensor => repeatHeads(x, 2);
  const results = (y: Tensor): Tensor[] => [y, ...grad(ops.sum(ops.mul(y, ops.sin(y))), [queries, k1, v1])];
  const mixed = results(causalSight(seen).mixed(queries, k1, v1, undefined));
  const whole = results(ops.matmul(causalWeights(queries, two(k1), seen), two(v1)));
  for (const [i, part] of mixed.entries()) {
    const [a, b] = [await part.floats(), await whole[i]!.floats()];
    // f64, sums of at most twenty terms of about 1, in other groups
    a.forEach((x, j) => expect(Math.abs(x - b[j]!)).toBeLessThanOrEqual(1e-12));
  }
});
