/** Verdicts of claims: the rules at their edges, and what must not change them. */
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { holm, pairedDifference } from "../src/statistics/paired.ts";
import { verdicts, type ClaimedPairs } from "../src/statistics/verdicts.ts";

const base = [85.2, 84.9, 86.1, 85.5, 85.0];
const above = (by: readonly number[]): number[] => base.map((value, i) => value + by[i]!);

describe("verdicts", () => {
  it("decide differences by their sign and the corrected p", () => {
    const clear = above([2.1, 1.9, 2.3, 2.0, 2.2]);
    const [up, down, unclear] = verdicts([
      { claim: { kind: "greater" }, x: clear, y: base },
      { claim: { kind: "less" }, x: clear, y: base },
      { claim: { kind: "greater" }, x: above([1, -1.2, 0.8, -0.5, 0.3]), y: base },
    ]);
    expect(up!.verdict).toBe("supported");
    expect(down!.verdict).toBe("contradicted");
    expect(unclear!.verdict).toBe("not decidable");
    // five pairs that vary by sd find 1.682 sd (the fixture of power)
    expect(unclear!.smallestDifference! / unclear!.sd!).toBeCloseTo(1.682, 3);
    expect(unclear!.beside.smallestSignFlip).toBe(0.0625);
  });

  it("decide equality by the 90 % interval and the margin", () => {
    const equal = { kind: "equal", margin: 1 } as const;
    const [same, apart, wide] = verdicts([
      { claim: equal, x: above([0.1, -0.2, 0.15, 0, -0.1]), y: base },
      { claim: equal, x: above([-3, -2.8, -3.3, -3.1, -2.9]), y: base },
      { claim: equal, x: above([2, -2, 1.5, -1, 0.4]), y: base },
    ]);
    expect([same, apart, wide].map((one) => one!.verdict)).toEqual(["supported", "contradicted", "not decidable"]);
    // an equality is not in the family of differences
    expect(same!.adjusted).toBeUndefined();
  });

  it("are corrected for every claim that was asked, also where nothing ran yet", () => {
    const clear: ClaimedPairs = { claim: { kind: "greater" }, x: above([2.1, 1.9, 2.3, 2.0, 2.2]), y: base };
    const silent: ClaimedPairs = { claim: { kind: "greater" }, x: [], y: [] };
    const [alone] = verdicts([clear]);
    const [beside, nothing] = verdicts([clear, silent, silent]);
    expect(beside!.adjusted).toBeCloseTo(3 * alone!.p!, 15);
    expect(nothing).toMatchObject({ verdict: "not decidable", n: 0, p: undefined, adjusted: undefined });
  });

  it("say nothing from two pairs, and nothing of differences that do not vary", () => {
    const [two, constant] = verdicts([
      { claim: { kind: "greater" }, x: [2, 3], y: [1, 1.5] },
      { claim: { kind: "greater" }, x: [2, 3, 4], y: [1, 2, 3] },
    ]);
    for (const one of [two!, constant!]) {
      expect(one.verdict).toBe("not decidable");
      expect(one.p).toBeUndefined();
      expect(one.adjusted).toBeUndefined();
    }
    expect(two!.beside).toEqual({
      signFlip: undefined,
      smallestSignFlip: undefined,
      wilcoxon: undefined,
      bootstrap95: undefined,
    });
  });

  const sample = fc.array(fc.double({ min: -50, max: 50, noNaN: true }), { minLength: 5, maxLength: 5 });
  const claims = fc.array(
    fc.record({
      claim: fc.constantFrom({ kind: "greater" as const }, { kind: "less" as const }),
      x: sample,
      y: sample,
    }),
    { minLength: 1, maxLength: 4 },
  );

  test.prop([claims], { numRuns: 25 })("are those of t and Holm, whatever stands beside them", (list) => {
    const got = verdicts(list);
    const p = list.map(({ x, y }) => pairedDifference(x, y).p);
    const adjusted = holm(p.map((value) => value ?? 1));
    got.forEach((one, i) => {
      expect(one.p).toBe(p[i]);
      const mine = p[i] === undefined ? undefined : adjusted[i];
      expect(one.adjusted).toBe(mine);
      expect(one.verdict === "not decidable").toBe(mine === undefined || mine >= 0.05);
    });
  });

  test.prop([claims], { numRuns: 25 })("of a mirrored claim are the same", (list) => {
    const mirrored = list.map(({ claim, x, y }): ClaimedPairs => {
      const kind = claim.kind === "greater" ? "less" : "greater";
      return { claim: { kind }, x: y, y: x };
    });
    expect(verdicts(mirrored).map(({ verdict }) => verdict)).toEqual(verdicts(list).map(({ verdict }) => verdict));
  });
});
