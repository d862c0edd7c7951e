/** Means over the tokens of a text, and rows of length 1: against loops, whatever stands in the padding. */
import { fc, test } from "@fast-check/vitest";
import { grad, init, ops, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";
import { l2Normalize, meanPooling } from "../src/index.ts";

let device: Device;
beforeAll(async () => {
  device = await init({ device: "reference" });
});
afterAll(() => device.close());

const real = fc.double({ min: -30, max: 30, noNaN: true });
/** A text: each token's two features, and whether it is one. */
const text = (length: number) => fc.array(fc.tuple(real, real, fc.boolean()), { minLength: length, maxLength: length });
const batches = fc
  .integer({ min: 1, max: 5 })
  .chain((length) => fc.array(text(length), { minLength: 1, maxLength: 4 }));

test.prop([batches, fc.constantFrom("i32", "bool", "f64"), fc.constantFrom(NaN, Infinity, 7)], { numRuns: 60 })(
  "meanPooling is the mean of the tokens that are no padding, and 0 where there are none",
  async (batch, dtype, rubbish) => {
    const length = batch[0]!.length;
    const hidden = batch.flat().flatMap(([a, b, is]) => (is ? [a, b] : [rubbish, rubbish]));
    const mask = device.tensor(
      batch.flat().map(([, , is]) => (is ? 1 : 0)),
      [batch.length, length],
      dtype as "i32",
    );
    const got = await meanPooling(device.tensor(hidden, [batch.length, length, 2]), mask).floats();
    batch.forEach((tokens, i) => {
      const real = tokens.filter(([, , is]) => is);
      for (const k of [0, 1] as const) {
        const want = real.reduce((sum, token) => sum + token[k], 0) / Math.max(1, real.length);
        // sums of at most five f64 numbers up to 30
        expect(Math.abs(got[2 * i + k]! - want)).toBeLessThanOrEqual(1e-13);
      }
    });
  },
);

test.prop([fc.array(fc.tuple(real, real, real), { minLength: 1, maxLength: 4 })], { numRuns: 60 })(
  "l2Normalize divides each row by its length",
  async (rows) => {
    const got = await l2Normalize(device.tensor(rows.flat(), [rows.length, 3])).floats();
    rows.forEach((row, i) => {
      const norm = Math.max(1e-12, Math.sqrt(row.reduce((sum, x) => sum + x * x, 0)));
      // squares under 1e-308 are nothing; a row that short is 1e-24 / 1e-12 of a length at most
      row.forEach((x, k) => expect(Math.abs(got[3 * i + k]! - x / norm)).toBeLessThanOrEqual(1e-14));
    });
  },
);

it("without a mask every position is a token", async () => {
  const hidden = device.tensor([1, 2, 3, 6], [1, 2, 2]);
  expect([...(await meanPooling(hidden).floats())]).toEqual([2, 4]);
});

it("a row of zeros stays, and has a gradient that is a number", async () => {
  const x = device.tensor([0, 0], [1, 2]);
  expect([...(await l2Normalize(x).floats())]).toEqual([0, 0]);
  const [slope] = grad(ops.sum(l2Normalize(x)), [x]);
  for (const v of await slope!.floats()) expect(Number.isFinite(v)).toBe(true);
});

it("other shapes are refused by what they should be", () => {
  expect(() => meanPooling(device.zeros([2, 3]))).toThrow(/hidden states are \[batch, length, hidden\], got \[2, 3\]/);
  expect(() => meanPooling(device.zeros([2, 3, 4]), device.zeros([2, 4]))).toThrow(/attentionMask must be \[2, 3\]/);
});
