/** GoRA's ranks against the definition, in f64 and another way. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RandomStream } from "@lowrank/tensor";
import { compressedGradient, goraBounds, goraRanks, type GradedModule } from "../src/index.ts";

const width = fc.integer({ min: 1, max: 64 });
const module = fc.record({
  in: width,
  out: width,
  rank: fc.integer({ min: 1, max: 8 }),
  importance: fc.oneof(fc.constant(0), fc.double({ min: 1e-6, max: 10, noNaN: true })),
});
const modules = fc
  .array(module, { minLength: 1, maxLength: 12 })
  .map((list): GradedModule[] => list.map((m, i) => ({ ...m, rank: Math.min(m.rank, m.in, m.out), name: `m${i}` })))
  .filter((list) => list.some(({ importance }) => importance > 0));

const weightOf = ({ importance, in: inner, out }: GradedModule): number => importance / Math.sqrt(inner + out);
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

describe("GoRA's ranks", () => {
  it("add up to the budget within their bounds, and are the shares of the definition to less than one rank", () => {
    fc.assert(
      fc.property(modules, (list) => {
        const ranks = goraRanks(list);
        const budget = sum(list.map(({ rank }) => rank));
        expect(sum([...ranks.values()])).toBe(budget);
        // λ by halving an interval: min(most, max(least, λw)) rises with it
        const clipped = (scale: number): number[] =>
          list.map((m) => Math.min(goraBounds(m)[1], Math.max(goraBounds(m)[0], scale * weightOf(m))));
        let [low, high] = [0, 1];
        while (sum(clipped(high)) < budget && high < 1e12) high *= 2;
        for (let i = 0; i < 200; i++) {
          const middle = (low + high) / 2;
          if (sum(clipped(middle)) < budget) low = middle;
          else high = middle;
        }
        const wanted = clipped(high);
        list.forEach((m, i) => {
          const rank = ranks.get(m.name)!;
          expect(rank).toBeGreaterThanOrEqual(goraBounds(m)[0]);
          expect(rank).toBeLessThanOrEqual(goraBounds(m)[1]);
          // where those of any importance have their most, the rest goes to those of none
          if (sum(wanted) >= budget - 1e-6) expect(Math.abs(rank - wanted[i]!)).toBeLessThan(1 + 1e-6);
        });
      }),
      { numRuns: 500 },
    );
  });

  it("are the paper's, [budget · share / √(in + out)] rounded, where these add up and no bound is met", () => {
    // weights 1 : 2 : 3 at equal widths, 12 ranks
    const list = [1, 2, 3].map((importance, i) => ({ name: `m${i}`, in: 16, out: 32, rank: 4, importance }));
    expect([...goraRanks(list).values()]).toEqual([2, 4, 6]);
    // √(in + out) is 4 and 8: half the weight for twice the cost
    const wide = [8, 32].map((size, i) => ({ name: `m${i}`, in: size, out: size, rank: 3, importance: 1 }));
    expect([...goraRanks(wide).values()]).toEqual([4, 2]);
  });

  it("rise with importance, do not care for its unit, and are the same in any order", () => {
    fc.assert(
      fc.property(modules, fc.integer({ min: -20, max: 20 }), (list, power) => {
        const ranks = goraRanks(list);
        for (const a of list)
          for (const b of list)
            if (a.in === b.in && a.out === b.out && a.rank === b.rank && a.importance > b.importance)
              expect(ranks.get(a.name)).toBeGreaterThanOrEqual(ranks.get(b.name)!);
        expect(goraRanks(list.map((m) => ({ ...m, importance: m.importance * 2 ** power })))).toEqual(ranks);
      }),
    );
  });

  it("refuse importances that say nothing", () => {
    const at = (importance: number): GradedModule => ({ name: "m", in: 4, out: 4, rank: 2, importance });
    expect(() => goraRanks([at(0), at(0)])).toThrow("no gradient reaches any of the modules");
    expect(() => goraRanks([at(NaN)])).toThrow("the importance of m is NaN");
    expect(() => goraRanks([at(-1)])).toThrow("the importance of m is -1");
  });
});

describe("GoRA's start", () => {
  it("is the step along the gradient that A's rows reach best: what is left over is at right angles to them", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 4 }),
        fc.nat({ max: 6 }),
        fc.nat(1000),
        (out, r, more, seed) => {
          const inner = r + more;
          const stream = new RandomStream(seed, "gora");
          const a = Float64Array.from({ length: r * inner }, () => stream.normal());
          const g = Float64Array.from({ length: out * inner }, () => stream.normal());
          const [scale, step] = [2, 0.1];
          const b = compressedGradient(a, g, [out, r, inner], { scale, step });
          const size = step * Math.sqrt(inner / r);
          for (let o = 0; o < out; o++) {
            const left = Array.from(
              { length: inner },
              (_, i) =>
                scale * sum(Array.from({ length: r }, (__, k) => b[o * r + k]! * a[k * inner + i]!)) +
                size * g[o * inner + i]!,
            );
            // a square A is conditioned as it comes out; sums of at most ten terms
            for (let k = 0; k < r; k++)
              expect(Math.abs(sum(left.map((v, i) => v * a[k * inner + i]!)))).toBeLessThan(1e-9);
            // all of the gradient where A's rows reach everything
            if (more === 0) for (const v of left) expect(Math.abs(v)).toBeLessThan(1e-6);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it("refuses rows that depend on one another", () => {
    expect(() => compressedGradient([1, 0, 2, 0], [1, 1], [1, 2, 2], { scale: 1, step: 1 })).toThrow(
      "rows of A depend",
    );
  });
});
