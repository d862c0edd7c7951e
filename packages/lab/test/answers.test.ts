import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import type { FinishedRun } from "../src/store/measures.ts";
import { answers } from "../src/study/answers.ts";
import type { RecoverySummary } from "../src/study/rank-picture.ts";
import { spread } from "../src/store/summary.ts";

const run = (config: string, seed: number, accuracy: number, storage = "f16", method = "lora"): FinishedRun =>
  ({
    config,
    seed,
    method,
    final: { accuracy },
    resolved: { method: { method, storage, r: 8 } },
  }) as unknown as FinishedRun;
const study = (rows: Record<string, readonly number[]>, storage: Record<string, string> = {}): FinishedRun[] =>
  Object.entries(rows).flatMap(([config, values]) =>
    values.map((v, seed) => run(config, seed, v, storage[config], config)),
  );
const bits = (fp: readonly number[], q4: readonly number[]): FinishedRun[] => [
  ...fp.map((v, s) => run("fp", s, v)),
  ...q4.map((v, s) => run("q4", s, v, "nf4")),
];
const found = (...values: number[]): RecoverySummary => ({
  config: "ada",
  rule: "",
  searched: true,
  spearman: spread(values),
  modules: [],
});

describe("answers", () => {
  it("say whether fewer bits cost accuracy, or that it cannot be decided", () => {
    expect(answers(bits([0.9, 0.901, 0.899], [0.85, 0.852, 0.849]), [])[0]).toMatchObject({
      answer: expect.stringMatching(/^q4 − fp: yes \(−4\.97 points, 95 % interval −5/) as string,
      decided: true,
    });
    expect(answers(bits([0.9, 0.91, 0.89], [0.901, 0.909, 0.891]), [])[0]).toMatchObject({
      answer: expect.stringMatching(/: no, within ± 1 point/) as string,
      decided: true,
    });
    expect(answers(bits([0.9, 0.85, 0.95], [0.93, 0.86, 0.87]), [])[0]).toMatchObject({
      answer: expect.stringMatching(/: not decidable with 3 seeds \(/) as string,
      decided: false,
    });
  });

  it("know which way is up: of a metric that should be low the lower one wins, and differences are told as they are", () => {
    const of = (config: string, values: readonly number[]): FinishedRun[] =>
      values.map((perplexity, seed) => ({ ...run(config, seed, 0), final: { perplexity } as never }));
    const [any] = answers([...of("a", [20, 20.1, 19.9, 20]), ...of("b", [18, 18.11, 17.9, 18])], []);
    expect(any).toMatchObject({
      question: "Is any difference in perplexity larger than its noise?",
      answer: expect.stringMatching(/^yes: b over a by 2\.00 \(p /) as string,
    });
    const [none] = answers([...of("a", [20, 21, 19]), ...of("b", [19, 21, 20])], []);
    expect(none!.answer).toMatch(/the largest is a − b, \+0\.00, 95 % interval/);
  });

  it("compare no configs that differ in more than the base's storage", () => {
    expect(answers([run("fp", 1, 0.9), run("q4", 1, 0.8, "nf4", "adalora")], []).map((a) => a.question)).toEqual([
      "Is any difference in accuracy larger than its noise?",
    ]);
  });

  it("judge found ranks by the interval over seeds", () => {
    const judge = (...values: number[]): string => answers([], [found(...values)])[0]!.answer;
    expect(judge(0.86, 0.84, 0.85)).toBe("yes (Spearman 0.85, 95 % interval 0.83 to 0.87)");
    expect(judge(0.4, 0.42, 0.41)).toMatch(/^in part/);
    expect(judge(0.01, 0.04, 0.02)).toMatch(/^no |^in part/);
    expect(judge(0.9, 0.1, 0.5)).toMatch(/^not decidable with 3 seeds/);
    expect(judge(0.9)).toBe("not decidable with 1 seed (Spearman 0.90)");
    expect(answers([], [{ ...found(1, 1, 1), searched: false }])).toEqual([]);
  });

  it("name the differences that survive Holm's correction, the better config first", () => {
    const [answer] = answers(
      study({ a: [0.5, 0.51, 0.5, 0.505, 0.5], b: [0.6, 0.61, 0.6, 0.606, 0.6], c: [0.55, 0.4, 0.7, 0.5, 0.6] }),
      [],
    );
    expect(answer!.answer).toMatch(/^yes: b over a by 10\.02 \(p .*\); Holm over 3 pairs$/);
    expect(answers(study({ a: [0.5], b: [0.9] }), [])[0]).toMatchObject({
      answer: expect.stringMatching(/^not decidable with 1 seed/) as string,
      decided: false,
    });
  });

  const accuracies = fc.array(fc.double({ min: 0.5, max: 1, noNaN: true }), { minLength: 4, maxLength: 4 });
  test.prop([accuracies, accuracies])("do not depend on the order of the runs", (a, b) => {
    const runs = bits(a, b);
    expect(
      answers(
        [...runs].reverse().sort((x, y) => x.config.localeCompare(y.config)),
        [],
      ),
    ).toEqual(answers(runs, []));
  });

  test.prop([fc.array(fc.double({ min: 0.5, max: 1, noNaN: true }), { minLength: 1, maxLength: 2 })])(
    "give no p-value below three seeds",
    (a) => {
      for (const { answer, decided } of answers(
        bits(
          a,
          a.map((v) => v - 0.3),
        ),
        [],
      ))
        expect([decided, /\bp \d/.test(answer)]).toEqual([false, false]);
    },
  );
});
