/** Samplers against plain definitions, and draws against their probabilities. */
import { fc, test } from "@fast-check/vitest";
import { RandomStream } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";
import { best, candidates, draw, penalized, probabilities } from "../src/generation/sampling.ts";

const scores = fc
  .array(fc.integer({ min: -40, max: 40 }), { minLength: 1, maxLength: 60 })
  .map((values) => Float64Array.from(values, (v) => v / 8));
/** Without equal ones, whose order nobody has promised. */
const distinct = fc
  .uniqueArray(fc.integer({ min: -400, max: 400 }), { minLength: 1, maxLength: 60 })
  .map((values) => Float64Array.from(values, (v) => v / 80));
const off = { topK: 0, topP: 1, minP: 0, temperature: 1 };

test.prop([scores, fc.integer({ min: 1, max: 70 })])("top-k: those with fewer than k better ones", (s, topK) => {
  const want = [...s.keys()].filter((i) => s.filter((v) => v > s[i]!).length < topK);
  expect([...candidates(s, { ...off, topK }).ids]).toEqual(want);
});

test.prop([distinct, fc.double({ min: 0.01, max: 0.999, noNaN: true })])(
  "top-p: the shortest list of the best that reaches p",
  (s, topP) => {
    const p = probabilities(s);
    const order = [...s.keys()].sort((a, b) => s[b]! - s[a]!);
    const sums = order.map((_, i) => order.slice(0, i + 1).reduce((sum, at) => sum + p[at]!, 0));
    // where rounding decides, nothing is said
    fc.pre(sums.every((sum) => Math.abs(sum - topP) > 1e-12));
    const reached = sums.findIndex((sum) => sum >= topP);
    const want = order.slice(0, reached < 0 ? order.length : reached + 1).sort((a, b) => a - b);
    expect([...candidates(s, { ...off, topP }).ids]).toEqual(want);
  },
);

test.prop([scores, fc.double({ min: 0.01, max: 1, noNaN: true })])("min-p: a share of the likeliest", (s, minP) => {
  const p = probabilities(s);
  const most = Math.max(...p);
  expect([...candidates(s, { ...off, minP }).ids]).toEqual([...s.keys()].filter((i) => p[i]! >= minP * most));
});

test.prop([scores, fc.uniqueArray(fc.nat({ max: 80 })), fc.double({ min: 0.5, max: 2, noNaN: true })])(
  "repetition penalty: of the seen ones alone, away from what they had",
  (s, seen, penalty) => {
    const got = penalized(s, seen, penalty);
    s.forEach((v, i) =>
      expect(got[i]).toBe(seen.includes(i) && penalty !== 1 ? (v > 0 ? v / penalty : v * penalty) : v),
    );
  },
);

test.prop([scores])("the best is the first of the best", (s) => {
  expect(best(s)).toBe(s.indexOf(s.reduce((a, b) => Math.max(a, b), -Infinity)));
});

test.prop([
  distinct,
  fc.double({ min: 0.3, max: 3, noNaN: true }),
  fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
])("a draw is the word at which the sum of probabilities passes u", (s, temperature, u) => {
  const left = candidates(s, { ...off, temperature });
  const p = probabilities(s.map((v) => v / temperature));
  const sums = [...p.keys()].map((i) => p.slice(0, i + 1).reduce((a, b) => a + b, 0));
  fc.pre(sums.every((sum) => Math.abs(sum - u) > 1e-12));
  const at = sums.findIndex((sum) => u < sum);
  expect(draw(left, u)).toBe(at < 0 ? s.length - 1 : at);
});

describe("draws", () => {
  it("come as often as they are likely", () => {
    const s = Float64Array.of(0, 1, 2, -1, 0.5);
    const stream = new RandomStream(5, "draws");
    const n = 20_000;
    const counts = new Array<number>(s.length).fill(0);
    for (let i = 0; i < n; i++) counts[draw(candidates(s, off), stream.uniform())]!++;
    const p = probabilities(s);
    // five standard deviations of a count
    counts.forEach((count, i) =>
      expect(Math.abs(count - n * p[i]!)).toBeLessThanOrEqual(5 * Math.sqrt(n * p[i]! * (1 - p[i]!))),
    );
  });

  it("never fall on what cannot be", () => {
    const s = Float64Array.of(-Infinity, 0, -Infinity);
    for (const u of [0, 0.5, 1 - 2 ** -53]) expect(draw(candidates(s, off), u)).toBe(1);
  });
});
