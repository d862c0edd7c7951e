/** Learning rates where nothing is said, and the word about predictions that are worth nothing. */
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { loadStudy, plannedRuns } from "../src/config/load.ts";
import { PRESETS } from "../src/config/presets.ts";
import { methods } from "../src/methods/registry.ts";
import { OTHER_RATES, rateFor } from "../src/records/rates.ts";
import { degenerate, noBetterThanMean } from "../src/statistics/degenerate.ts";
import { tokenClassification } from "../src/tasks/token-classification.ts";
import { answerDoubt, tagDoubt } from "../src/tasks/rows/doubts.ts";
import { rateOf } from "../src/train/rate.ts";

/** `count` is all that rates see of data. */
const rows = (count: number): never => ({ train: { count } }) as never;

describe("the rate of a run that says none", () => {
  it("is the method's at its anchors, and has a source", () => {
    for (const { name, rates } of methods.all)
      for (const { steps, lr, source } of rates!) {
        expect(rateFor(rates!, steps), `${name} in ${steps} steps`).toBe(lr);
        expect(source.length).toBeGreaterThan(10);
      }
    const built = ["lora", "adalora", "ia3", "vera", "full", "head"];
    expect(built.every((name) => methods.get(name).rates !== undefined)).toBe(true);
  });

  test.prop([fc.constantFrom(...methods.names), fc.double({ min: 0, max: 1, noNaN: true })])(
    "lies between its anchors and never rises with the steps",
    (name, share) => {
      const { rates } = methods.get(name) as { rates: NonNullable<ReturnType<typeof methods.get>["rates"]> };
      expect([...rates].sort((a, b) => a.steps - b.steps)).toEqual(rates);
      const steps = Math.round(10 ** (6 * share));
      const [few, more] = [rateFor(rates, steps), rateFor(rates, 2 * steps)];
      expect(more).toBeLessThanOrEqual(few);
      expect(few).toBeLessThanOrEqual(rates[0]!.lr);
      expect(few).toBeGreaterThanOrEqual(rates.at(-1)!.lr);
    },
  );

  it("goes by the steps that the data makes; what is said stays", async () => {
    const configs = "configs={a: {method: adalora, target: [query]}, l: {method: lora, target: [query]}}";
    const of = async (i: number, count: number, ...set: string[]): Promise<number> => {
      const { config } = plannedRuns(
        await loadStudy("planted", { set: [configs, "train={epochs: 1}", ...set], seeds: [1] }),
      )[i]!;
      return rateOf(config, methods.get(config.method.method), rows(count));
    };
    // the reference runs: 250 steps of 32 rows
    expect([await of(0, 8000), await of(1, 8000)]).toEqual([5e-3, 2e-3]);
    expect(await of(1, 67_349)).toBeCloseTo(1e-3, 4);
    expect(await of(1, 8000, "train.lr=3e-4")).toBe(3e-4);
    expect(rateOf({ train: { epochs: 1, batchSize: 32 } } as never, {}, rows(8000))).toBe(OTHER_RATES[0]!.lr);
  });

  it("is smaller where every word is asked for", () => {
    const config = { train: { epochs: 1, batchSize: 32 } } as never;
    const data = { ...(rows(8000) as object), rate: tokenClassification.rate } as never;
    expect(tokenClassification.rate!.source.length).toBeGreaterThan(10);
    expect(rateOf(config, methods.get("lora"), data)).toBe(5e-4);
    expect(rateOf({ train: { epochs: 1, batchSize: 32, lr: 1e-3 } } as never, methods.get("lora"), data)).toBe(1e-3);
  });

  it("is said in every config of every preset, so that its runs stay the same", async () => {
    for (const [name, text] of Object.entries(PRESETS))
      for (const { config } of plannedRuns(await loadStudy(name, text.includes("\nmodel:") ? {} : { base: "x" })))
        expect(config.train.lr, `${name}: ${config.name}`).toBeGreaterThan(0);
  });

  it("is another optimizer's to say", async () => {
    const configs = "configs={l: {method: lora, target: [query], train: {optimizer: sgd}}}";
    await expect(loadStudy("planted", { set: [configs] })).rejects.toThrow(
      /"train.lr" is missing: .* the optimizer is sgd/,
    );
  });
});

describe("predictions that are worth nothing", () => {
  test.prop([fc.array(fc.tuple(fc.nat(3), fc.nat(3)), { minLength: 1, maxLength: 20 })])(
    "are those that a constant is as good as",
    (pairs) => {
      const [predicted, labels] = [pairs.map(([p]) => p), pairs.map(([, l]) => l)];
      const most = Math.max(...[0, 1, 2, 3].map((c) => labels.filter((l) => l === c).length));
      const right = pairs.filter(([p, l]) => p === l).length;
      const worthless = new Set(labels).size > 1 && (new Set(predicted).size === 1 || right <= most);
      expect(degenerate(predicted, labels) !== undefined).toBe(worthless);
    },
  );

  it("are said with the labels' names", () => {
    expect(degenerate([1, 1, 1], [0, 1, 1], ["bad", "good"])).toMatch(/every one of 3 predictions is good/);
    expect(degenerate([0, 1, 0], [0, 1, 1], ["bad", "good"])).toMatch(
      /66.67 % .* than saying good every time \(66.67 %\)/,
    );
  });
});

describe("answers of every kind that are worth nothing", () => {
  const numbers = fc.array(fc.tuple(fc.integer({ min: -20, max: 20 }), fc.integer({ min: -20, max: 20 })), {
    minLength: 1,
    maxLength: 12,
  });

  test.prop([numbers])("numbers that are no nearer than their mean", (pairs) => {
    const [predicted, actual] = [pairs.map(([p]) => p), pairs.map(([, a]) => a)];
    const mean = actual.reduce((a, b) => a + b, 0) / actual.length;
    const error = (of: (i: number) => number): number => actual.reduce((sum, a, i) => sum + (a - of(i)) ** 2, 0);
    const [own, constant] = [error((i) => predicted[i]!), error(() => mean)];
    const line = noBetterThanMean(predicted, actual);
    if (new Set(actual).size === 1) expect(line).toBeUndefined();
    else if (new Set(predicted).size === 1) expect(line).toMatch(/^every one of/);
    // equal but for rounding: either is right
    else if (Math.abs(own - constant) > 1e-9 * constant) expect(line !== undefined).toBe(own > constant);
  });

  it("numbers that are almost the same", () => {
    expect(noBetterThanMean([0.5, 0.5001, 0.5], [0, 1, 0.5])).toMatch(/^every one of 3 predictions is about 0.5:/);
    expect(noBetterThanMean([0.4, 0.6], [0, 1])).toBeUndefined();
  });

  it("tags", () => {
    const right = [["O", "B-X", "I-X"], ["O"]];
    expect(tagDoubt([["O", "O", "O"], ["O"]], right)).toMatch(/^every one of 4 words is tagged O: nothing was learnt/);
    expect(tagDoubt([["O", "B-X", "O"], ["B-Y"]], right)).toMatch(
      /^none of 1 entities was found; 2 were named that are none; try/,
    );
    expect(tagDoubt(right, right)).toBeUndefined();
    expect(tagDoubt([["O"]], [["O"]])).toBeUndefined();
  });

  it("answers in texts", () => {
    const [a, b] = [
      { text: "the film", from: 3 },
      { text: "fine", from: 9 },
    ];
    expect(answerDoubt([undefined, undefined], [[a], []])).toMatch(/^every one of 2 answers is empty:/);
    expect(answerDoubt([b, b], [[a], [b]])).toMatch(/^every one of 2 answers is at character 9 and 4 long:/);
    expect(answerDoubt([b, a], [[a], [b]])).toMatch(/^none of 2 answers has a word of the right one; try/);
    expect(answerDoubt([a, b, a], [[a], [], []])).toMatch(/^1 of 3 answers are right, no more than .* \(2\); try/);
    expect(answerDoubt([a, b], [[a], []])).toMatch(/^1 of 2/);
    expect(answerDoubt([a, undefined], [[a], []])).toBeUndefined();
    expect(answerDoubt([a, a], [[a], [b]])).toMatch(/^every/);
  });
});
