/** What evaluations decide: when a training ends, and which weights it leaves; and that they decide nothing else. */
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadStudy, resolveConfig } from "../src/config/load.ts";
import { acrossLengths } from "../src/data/orders.ts";
import { RunError } from "../src/errors.ts";
import { accuracy } from "../src/metrics/accuracy.ts";
import { perplexity } from "../src/metrics/perplexity.ts";
import type { Metric } from "../src/records/metric.ts";
import type { SinkRecord } from "../src/records/sink.ts";
import type { Evaluation, RunResult } from "../src/store/result.ts";
import { RunStore } from "../src/store/run-store.ts";
import { planStudy } from "../src/study/plan-study.ts";
import type { StudyOutcome } from "../src/study/outcome.ts";
import { runStudy } from "../src/study/run-study.ts";
import { EarlyStop } from "../src/train/early-stop.ts";
import type { Evaluator } from "../src/train/evaluate.ts";
import { Evaluations } from "../src/train/evaluations.ts";
import { bestOf, judgeOf, LOSS } from "../src/train/judge.ts";
import { paceBySteps } from "../src/train/pace.ts";
import { TrainingRecord } from "../src/train/record.ts";
import { Selection } from "../src/train/selection.ts";
import { Trainer } from "../src/train/trainer.ts";
import { throughFiles } from "./through-files.ts";
import { adaptedToy, STEP, tokenTask, TokenToy } from "./token-toy.ts";

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());

const evaluation = (step: number, value: number): Evaluation => ({
  step,
  epoch: step,
  loss: value,
  accuracy: value,
  perplexity: value,
  examples: 1,
});

const values = fc.array(fc.oneof(fc.integer({ min: 0, max: 6 }), fc.constant(Number.NaN)), {
  minLength: 1,
  maxLength: 12,
});

/** The definition, in words of the whole list: the first place that has `patience` places behind the last improvement. */
function stopOf(list: readonly number[], patience: number, minDelta: number, sign: number): number | undefined {
  let [best, at] = [-Infinity, -1];
  for (const [i, value] of list.entries()) {
    if (sign * value > best + (best === -Infinity ? 0 : minDelta)) [best, at] = [sign * value, i];
    if (i - at >= patience) return i;
  }
  return undefined;
}

describe("an early stop", () => {
  test.prop([values, fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 2 }), fc.boolean(), fc.nat()])(
    "ends where evaluations have got no better for as long as its patience, also when it is resumed on the way",
    async (list, patience, minDelta, lower, cut) => {
      const judge = lower ? LOSS : judgeOf([accuracy as Metric]);
      let stop = new EarlyStop(judge, { patience, minDelta });
      let ended: number | undefined;
      for (const [i, value] of list.entries()) {
        if (i === cut % list.length) {
          const saved = JSON.parse(JSON.stringify(stop.state().values)) as never;
          stop = new EarlyStop(judge, { patience, minDelta });
          await stop.restore({ values: saved, tensors: new Map() });
        }
        stop.saw(value);
        if (!stop.stops) continue;
        ended = i;
        break;
      }
      expect(ended).toBe(stopOf(list, patience, minDelta, lower ? -1 : 1));
    },
  );

  it("goes by the first metric, which knows which way is better", () => {
    expect(judgeOf([perplexity as Metric, accuracy as Metric])).toMatchObject({ name: "perplexity", better: "lower" });
    expect(judgeOf([perplexity as Metric, accuracy as Metric], "accuracy").name).toBe("accuracy");
    expect(judgeOf([accuracy as Metric], "loss")).toEqual(LOSS);
    expect(judgeOf([])).toEqual(LOSS);
    const list = [NaN, 3, 5, 5, 2, NaN, 2].map((value, i) => evaluation(i, value));
    expect(bestOf(judgeOf([accuracy as Metric]), list).step).toBe(2);
    expect(bestOf(judgeOf([perplexity as Metric]), list).step).toBe(4);
  });
});

const LENGTHS = [3, 9, 1, 4, 7, 2, 8, 5, 6, 3, 2];
const STEPS = 8;

class Stopped extends Error {}

/** A training whose evaluations after each step are told, up to a step. */
async function follow(told: readonly number[], words: ConstructorParameters<typeof Selection>[0]) {
  const adapted = await adaptedToy({ method: "lora", r: 2, target: ["query", "dense"], dropout: 0.2 }, device, STEPS);
  const examples = new TokenToy(LENGTHS);
  const selection = new Selection(words, [accuracy as Metric], adapted);
  const trainer: Trainer = new Trainer(
    {
      task: tokenTask,
      trainable: adapted,
      examples,
      cursor: { order: acrossLengths(examples.lengths, 4, 2), multiple: 4, seed: 2 },
      step: STEP,
      pace: (record) => paceBySteps({ lr: 0.01, schedule: "linear", warmup: 0 }, STEPS, record),
      parts: selection.parts,
      stops: () => selection.stops,
    },
    device,
  );
  const bits: Uint8Array[] = [];
  const run = async (until = Infinity): Promise<void> => {
    const watcher = {
      diverged: ({ what }: { what: string }) => new RunError(what),
      async stepped() {
        const { step } = trainer.record;
        await selection.saw(evaluation(step, told[step - 1]!));
        bits[step] = await adapted.trainableBytes();
        if (step === until) throw new Stopped();
      },
    };
    await trainer.run(watcher).catch((error: unknown) => {
      if (!(error instanceof Stopped)) throw error;
    });
  };
  const close = (): void => {
    trainer.dispose();
    adapted.base.dispose();
  };
  return { trainer, selection, adapted, bits, run, close };
}

describe("the best weights", () => {
  test.prop(
    [
      fc.array(fc.integer({ min: 0, max: 5 }), { minLength: STEPS, maxLength: STEPS }),
      fc.integer({ min: 1, max: STEPS }),
    ],
    {
      numRuns: 5,
    },
  )(
    "are those of the best evaluation, bit for bit, also of a training that was resumed",
    async (told, cut) => {
      const words = { keep: "best", earlyStop: { patience: 3, minDelta: 0 } } as const;
      const [straight, before, after] = [
        await follow(told, words),
        await follow(told, words),
        await follow(told, words),
      ];
      await straight.run();
      await before.run(cut);
      await after.trainer.state.restore(await throughFiles(before.trainer.state.state()));
      await after.run();
      const end = (stopOf(told, 3, 0, 1) ?? STEPS - 1) + 1;
      const best = told.slice(0, end).indexOf(Math.max(...told.slice(0, end))) + 1;
      for (const { trainer, selection, adapted } of [straight, after]) {
        expect(trainer.record.step).toBe(end);
        expect(selection.best!.evaluation).toEqual(evaluation(best, told[best - 1]!));
        selection.best!.putBack();
        expect(await adapted.trainableBytes()).toEqual(straight.bits[best]);
      }
      for (const each of [straight, before, after]) each.close();
    },
    120_000,
  );
});

const SMALL = [
  "task={name: planted-rank, train: 96, dev: 40, length: 6, ranks: {query: 1}}",
  "model={hidden: 8, layers: 1, heads: 2, intermediate: 8, initializerRange: 0.3, dropout: 0.2}",
  "train={epochs: 2, batchSize: 16, lr: 2e-2}",
];

interface Outcome extends StudyOutcome {
  readonly out: string;
  /** Loss and norm of each step. */
  readonly curve: readonly (readonly number[])[];
  readonly said: readonly string[];
}

async function execute(...set: string[]): Promise<Outcome> {
  const out = mkdtempSync(join(tmpdir(), "lowrank-selection-"));
  const environment = { dataFolder: "none", cacheFolder: join(out, ".cache") };
  const store = new RunStore(out);
  const study = await loadStudy("planted", { set: [...SMALL, ...set], seeds: [1] });
  const runs = await planStudy(study, store, { environment, code: "test", device: device.name, reuse: false });
  const [curve, said]: [number[][], string[]] = [[], []];
  const watching: SinkRecord = {
    name: "watching",
    open: () => ({
      start: () => {},
      scalar: (_, { loss, grad_norm }) => void (loss === undefined || curve.push([loss, grad_norm!])),
      artifact: () => {},
      finish: () => {},
    }),
  };
  const context = {
    out,
    device,
    store,
    environment,
    machine: {} as never,
    progress: "quiet",
    sinks: [watching],
  } as const;
  const outcome = await runStudy(runs, { ...context, say: (line) => void said.push(line) });
  expect(outcome.failures).toEqual([]);
  return { ...outcome, out, curve, said };
}

const adapterOf = ({ out }: Outcome, { name }: RunResult): Buffer =>
  readFileSync(join(out, "runs", name, "adapter", "adapter_model.safetensors"));

const LORA = "configs={lora: {method: lora, r: 2, target: [query, value], dropout: 0.1}}";

describe("evaluations", () => {
  it("leave training's bits alone, however often they come", async () => {
    const outcomes: Outcome[] = [];
    for (const every of ["1", "5", "epoch", "end"]) outcomes.push(await execute(LORA, `train.evalEvery=${every}`));
    const [first, ...others] = outcomes;
    expect(first!.curve).toHaveLength(12);
    for (const other of others) {
      expect(other.curve).toEqual(first!.curve);
      expect(adapterOf(other, other.results[0]!)).toEqual(adapterOf(first!, first!.results[0]!));
      expect(other.results[0]!.final).toEqual(first!.results[0]!.final);
    }
    const evaluated = outcomes.map(
      ({ out, results: [run] }) =>
        readFileSync(join(out, "runs", run!.name, "metrics.csv"), "utf8")
          .trim()
          .split("\n").length - 1,
    );
    expect(evaluated).toEqual([12, 3, 2, 1]);
  });
});

describe("an evaluation before the first step", () => {
  const predictionsOf = ({ out }: Outcome, { name }: RunResult): string =>
    readFileSync(join(out, "runs", name, "predictions.jsonl"), "utf8");

  it("leaves training's bits alone, and all else that the run says", async () => {
    const said = async (...set: string[]) =>
      resolveConfig(await loadStudy("planted", { set: [...SMALL, LORA, ...set] }), "lora");
    expect(await said("train.evalStart=false")).toEqual(await said());
    expect(await said()).not.toHaveProperty("train.evalStart");
    const [without, on] = [
      await execute(LORA, "train.evalEvery=5"),
      await execute(LORA, "train.evalEvery=5", "train.evalStart=true"),
    ];
    const [a, c] = [without.results[0]!, on.results[0]!];
    expect(a).not.toHaveProperty("start");
    expect(c.id).not.toBe(a.id);
    expect(on.curve).toHaveLength(12);
    expect(on.curve).toEqual(without.curve);
    expect(adapterOf(on, c)).toEqual(adapterOf(without, a));
    expect(predictionsOf(on, c)).toBe(predictionsOf(without, a));
    const { start, proofs, ...rest } = c;
    const words = { id: a.id, cell: a.cell, name: a.name, measures: undefined, resolved: undefined };
    const { proofs: usual, ...other } = a;
    expect({ ...rest, ...words }).toEqual({ ...other, ...words });
    expect(proofs.filter(({ name }) => name !== "evaluated-before-the-first-step")).toEqual(usual);
    expect(proofs).toHaveLength(usual.length + 1);
    expect(start).toMatchObject({ step: 0, epoch: 0, examples: c.final.examples });
    expect(start!.loss).not.toBe(c.final.loss);
    const table = (outcome: Outcome, { name }: RunResult): string[] =>
      readFileSync(join(outcome.out, "runs", name, "metrics.csv"), "utf8")
        .trim()
        .split("\n")
        .map((line) => line.replace(/,[^,]*$/, ""));
    expect(table(on, c)).toEqual(table(without, a));
  });

  it("is of the base where a method begins at the base", async () => {
    const { results } = await execute(
      `configs={lora: {method: lora, r: 2, target: [query, value], dropout: 0.1}, ada: {method: adalora, initR: 3, targetR: 1, target: [query, value], tinit: 1, tfinal: 4, deltaT: 1}, full: {method: full}}`,
      "train.evalEvery=end",
      "train.evalStart=true",
    );
    expect(results.map(({ config }) => config)).toEqual(["lora", "ada", "full"]);
    const [lora, ada, full] = results.map(({ start }) => start!);
    expect(lora).toEqual(full);
    expect(ada).toEqual(full);
    expect(new Set(results.map(({ final }) => final.loss)).size).toBe(3);
  });

  it("is neither the best one nor one that is kept, nor does it begin an early stop's patience", async () => {
    // a rate that destroys what was there: nothing is as good as the start
    const set = [LORA, "train.evalEvery=1", "train.lr=5", "train.warmup=0", "train.keep=best"];
    const stop = "train.earlyStop={metric: loss, patience: 4}";
    const [without, on] = [await execute(...set, stop), await execute(...set, stop, "train.evalStart=true")];
    const [a, b] = [without.results[0]!, on.results[0]!];
    expect(b.start!.loss).toBeLessThan(b.best.loss);
    for (const key of ["best", "final", "kept", "stopped", "steps"] as const) expect(b[key]).toEqual(a[key]);
  });

  it("is made once, is kept by the training's state, and is refused where it is no number", async () => {
    let [asked, loss] = [0, Number.NaN];
    const evaluator = {
      run: async () => ({ loss, examples: 4, metrics: { accuracy: 0.5 }, scored: {}, asked: ++asked }),
    } as unknown as Evaluator;
    const over = (record: TrainingRecord): Evaluations =>
      new Evaluations({ evaluator, judge: LOSS, record, every: "end", perEpoch: 3, total: 6 });
    const record = new TrainingRecord();
    expect(await over(record).start()).toEqual({ badLoss: Number.NaN });
    expect(record.start).toBeUndefined();
    expect(record.state().values).not.toHaveProperty("start");
    loss = 2;
    const start = { step: 0, epoch: 0, loss: 2, accuracy: 0.5, examples: 4 };
    expect(await over(record).start()).toEqual({ now: start });
    expect(record.evaluations).toEqual([]);
    const resumed = new TrainingRecord();
    await resumed.restore({ values: JSON.parse(JSON.stringify(record.state().values)) as never, tensors: new Map() });
    expect(resumed.start).toEqual(start);
    expect(await over(resumed).start()).toBeUndefined();
    expect(asked).toBe(2);
  });
});

describe("a run that keeps its best", () => {
  it("leaves the weights of its best evaluation, and says so", async () => {
    // a rate that destroys what was learnt: the end is not the best
    const set = [
      LORA,
      "train.evalEvery=1",
      "train.lr=0.5",
      "train.schedule=constant",
      "train.earlyStop={metric: loss, patience: 4}",
    ];
    const [last, best] = [await execute(...set), await execute(...set, "train.keep=best")];
    const [a, b] = [last.results[0]!, best.results[0]!];
    expect(best.curve).toEqual(last.curve);
    expect(a.final.step).toBe(a.steps);
    expect(a.kept).toBeUndefined();
    expect(b.final).toEqual(a.best);
    expect(b.final.loss).toBeLessThan(a.final.loss);
    expect(b.kept).toEqual({ by: "loss", last: a.final });
    expect(b.stopped).toEqual({ by: "loss", of: 12 });
    expect(b.steps).toBe(b.final.step + 4);
    expect(b.proofs.find(({ name }) => name === "kept-weights-are-the-best")).toMatchObject({ holds: true });
    expect(adapterOf(best, b)).not.toEqual(adapterOf(last, a));
    expect(b.predictions.sha256).not.toBe(a.predictions.sha256);
  });

  it("counts no evaluation before ranks are final", async () => {
    const ada = "method: adalora, initR: 3, targetR: 1, target: [query, value], tinit: 1, tfinal: 4, deltaT: 1";
    const { results } = await execute(
      `configs={ada: {${ada}}}`,
      "train.evalEvery=1",
      "train.lr=0.3",
      "train.earlyStop={patience: 1, metric: loss, minDelta: 10}",
      "train.keep=best",
    );
    // ranks are final after step 8 of 12, whose evaluation is the first that counts
    expect(results[0]!.steps).toBe(9);
    expect(results[0]!.final.step).toBeGreaterThanOrEqual(8);
  });

  it("has an evaluation to choose, by something that it has", async () => {
    const load = (...set: string[]): Promise<unknown> => loadStudy("planted", { set: [...SMALL, LORA, ...set] });
    await expect(load("train.keep=best", "train.evalEvery=end")).rejects.toThrow(
      `"train.keep" is best, and "evalEvery" is end`,
    );
    await expect(load("train.earlyStop={patience: 1}", "train.evalEvery=end")).rejects.toThrow(
      /there is one evaluation/,
    );
    await expect(load("train.earlyStop={patience: 1, metric: acuracy}")).rejects.toThrow(/did you mean "accuracy"/);
    await expect(load("train.evalEvery=never")).rejects.toThrow(/expected "epoch", "end" or a number of steps/);
  });
});
