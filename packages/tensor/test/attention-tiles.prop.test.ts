/** Attention in tiles: forward and gradients against the definition in f64, wherever tiles end and whatever a mask hides. */
import { fc, test } from "@fast-check/vitest";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { grad, init, ops, type AttentionOptions, type Device, type Tensor } from "../src/index.ts";

let reference: Device;
let devices: Device[];
beforeAll(async () => {
  reference = await init({ device: "reference" });
  devices = [await init({ device: "interpreter" }), await init({ device: "wasm", threads: 1 })];
});
afterAll(() => {
  for (const device of [reference, ...devices]) device.close();
});

interface Case {
  readonly batch: number;
  readonly heads: number;
  readonly group: number;
  readonly queries: number;
  readonly keys: number;
  readonly width: number;
  readonly valueWidth: number;
  readonly causal: boolean;
  readonly window: number | undefined;
  /** Whether key i of example b may be seen. */
  readonly mask: readonly boolean[] | undefined;
  /** Of each query, as a part of its place. */
  readonly first: readonly number[] | undefined;
  readonly p: number;
  readonly tiles: number;
  readonly phase: number;
}

const size = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max });
const cases: fc.Arbitrary<Case> = fc
  .record({
    batch: size(2),
    queries: size(14),
    ahead: fc.oneof(fc.constant(0), fc.nat({ max: 6 })),
    causal: fc.boolean(),
  })
  .chain(({ batch, queries, ahead, causal }) => {
    const keys = queries + ahead;
    return fc.record({
      batch: fc.constant(batch),
      heads: size(2),
      group: size(3),
      queries: fc.constant(queries),
      keys: fc.constant(keys),
      width: size(6),
      valueWidth: size(6),
      causal: fc.constant(causal),
      window: causal ? fc.option(size(keys + 1), { nil: undefined }) : fc.constant(undefined),
      mask: fc.option(fc.array(fc.boolean(), { minLength: batch * keys, maxLength: batch * keys }), { nil: undefined }),
      first: fc.option(
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), {
          minLength: batch * queries,
          maxLength: batch * queries,
        }),
        { nil: undefined },
      ),
      p: fc.constantFrom(0, 0, 0.1, 0.5),
      tiles: size(keys + 1),
      phase: fc.integer({ min: 0, max: 1000 }),
    });
  });

/** out, dq, dk, dv. @param tiled false: the whole matrix at once */
async function results(device: Device, c: Case, tiled: boolean): Promise<number[][]> {
  const heads = c.heads * c.group;
  // within [−1, 1], and what the tolerance below counts with
  const values = (shape: readonly number[], phase: number): Tensor =>
    device.tensor(
      Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) =>
        Math.fround(Math.sin(1.7 * i + phase + c.phase)),
      ),
      shape,
      device.defaultFloat,
    );
  const q = values([c.batch, heads, c.queries, c.width], 0);
  const k = values([c.batch, c.heads, c.keys, c.width], 1);
  const v = values([c.batch, c.heads, c.keys, c.valueWidth], 2);
  const options: AttentionOptions = {
    causal: c.causal,
    ...(c.window === undefined ? {} : { window: c.window }),
    ...(c.mask === undefined ? {} : { mask: device.tensor(c.mask.map(Number), [c.batch, 1, 1, c.keys], "bool") }),
    ...(c.first === undefined
      ? {}
      : {
          first: device.tensor(
            c.first.map((part, i) => Math.floor(part * (i % c.queries))),
            [c.batch, c.queries],
            "i32",
          ),
        }),
    ...(c.p === 0
      ? {}
      : {
          dropout: { p: c.p, key: { words: device.tensor([4123456789 - c.phase, 3456789012], [2], "u32"), site: 5 } },
        }),
    ...(tiled ? { tiles: c.tiles } : {}),
  };
  const out = ops.attention(q, k, v, options);
  const g = values([c.batch, heads, c.queries, c.valueWidth], 3);
  const all = [out, ...grad(ops.sum(ops.mul(out, g)), [q, k, v])];
  await device.realize(...all);
  return Promise.all(all.map(async (x) => [...(await x.floats())]));
}

/**
 * u = 2⁻²⁴, all numbers within 1. A score is a sum of `width` terms times 1/√width: off by (width + 1)·√width·u. A weight is e to the difference of two of them,
 * divided by a sum of `keys` (sums grow in tiles, each of which shrinks the ones before): relatively off by twice that and (keys + 24)·u. An
 * output is a sum of weights that add up to 1; what dropout keeps is larger by c = 1/(1 − p). Gradients: g·vᵀ and what is subtracted from it are within
 * c·valueWidth, so ds is off by w·c·valueWidth times the weight's error and what the sums add. Each row's w add up to 1; a key gets them from all
 * queries of its heads. Twice all that, for second orders.
 */
function tolerances({ group, queries, keys, width, valueWidth, p }: Case): number[] {
  const u = 2 ** -24;
  const c = 1 / (1 - p);
  const weight = 2 * (width + 1) * Math.sqrt(width) * u + (keys + 24) * u;
  const out = c * (weight + (keys + 2) * u);
  const ds = 2 * c * valueWidth * (weight + (valueWidth + keys + 4) * u);
  const scale = 1 / Math.sqrt(width);
  const rows = group * queries;
  return [
    out,
    scale * (ds + keys * u * c * valueWidth),
    scale * rows * (ds + rows * u * c * valueWidth),
    rows * c * (weight + rows * u),
  ].map((x) => 2 * x);
}

describe("attention in tiles", () => {
  test.prop([cases], { numRuns: 30 })("is attention, gradients too", async (c) => {
    const want = await results(reference, c, false);
    const allowed = tolerances(c);
    for (const device of devices) {
      const got = await results(device, c, true);
      got.forEach((values, part) =>
        values.forEach((x, i) =>
          expect(
            Math.abs(x - want[part]![i]!),
            `${device.name}, ${["out", "dq", "dk", "dv"][part]} ${i}`,
          ).toBeLessThanOrEqual(allowed[part]!),
        ),
      );
    }
  });

  it("has the same bits on any number of threads", async () => {
    const two = await init({ device: "wasm", threads: 2 });
    const c: Case = {
      batch: 1,
      heads: 2,
      group: 2,
      queries: 150,
      keys: 150,
      width: 16,
      valueWidth: 16,
      causal: true,
      window: 70,
      mask: Array.from({ length: 150 }, (_, i) => i > 20),
      first: undefined,
      p: 0.1,
      tiles: 64,
      phase: 0,
    };
    expect(await results(two, c, true)).toEqual(await results(devices[1]!, c, true));
    two.close();
  });

  it("has the second derivatives of the definition", async () => {
    const [q, k, v] = [0, 1, 2].map((phase) =>
      reference.tensor(
        Float64Array.from({ length: 2 * 5 * 3 }, (_, i) => Math.sin(1.3 * i + phase)),
        [1, 2, 5, 3],
        "f64",
      ),
    ) as [Tensor, Tensor, Tensor];
    const second = async (options: AttentionOptions): Promise<number[][]> => {
      const out = ops.attention(q, k, v, { causal: true, ...options });
      const first = grad(ops.sum(ops.square(out)), [q, k, v]);
      const again = grad(
        first.map((g) => ops.sum(ops.mul(g, ops.sin(g)))).reduce((a, b) => ops.add(a, b)),
        [q, k, v],
      );
      return Promise.all(again.map(async (x) => [...(await x.floats())]));
    };
    const [tiled, whole] = [await second({ tiles: 2 }), await second({})];
    // f64, a few hundred operations on numbers of about 1
    tiled.forEach((part, i) => part.forEach((x, j) => expect(Math.abs(x - whole[i]![j]!)).toBeLessThanOrEqual(1e-12)));
  });
});

it("refuses what does not fit, in one line", () => {
  const device = devices[0]!;
  const of = (...shape: number[]): Tensor => device.zeros(shape);
  const [q, k] = [of(1, 4, 3, 2), of(1, 2, 3, 2)];
  expect(() => ops.attention(q, of(1, 3, 3, 2), of(1, 3, 3, 2))).toThrow("a divisor of q's");
  expect(() => ops.attention(q, k, of(1, 2, 4, 2))).toThrow("as many keys");
  expect(() => ops.attention(q, k, k, { window: 2 })).toThrow("add causal: true");
  expect(() => ops.attention(q, k, k, { causal: true, window: 0 })).toThrow("window");
  expect(() => ops.attention(q, k, k, { first: device.tensor([0, 0, 0]) })).toThrow(
    "first is i32 [batch or 1, queries]",
  );
  expect(() => ops.attention(q, k, k, { mask: of(1, 1, 1, 3) })).toThrow("the mask must be bool");
});
