/** The tensorboard sink: a folder for each run, a file for each attempt, and what TensorBoard makes of several of them. */
import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import type { RunFacts } from "../src/records/sink.ts";
import { tensorboard } from "../src/sinks/tensorboard.ts";
import { hparamsOf, readEvents, type Event } from "./tfevents.ts";

const config = {
  name: "lora",
  task: { name: "planted-rank", ranks: { query: 1 } },
  base: null,
  method: { method: "lora", r: 4, target: ["query", "value"], dora: false },
  train: { lr: 0.01 },
} as never;
const facts = (name: string, resumed = 0): RunFacts => ({
  name,
  id: "0123abcd",
  study: "study",
  config,
  seed: 3,
  steps: 9,
  resumed,
  metrics: ["accuracy"],
});
const folder = (): string => mkdtempSync(join(tmpdir(), "lowrank-tensorboard-"));

function eventsOf(run: string): Event[] {
  return readdirSync(run)
    .sort()
    .flatMap((name) => [...readEvents(new Uint8Array(readFileSync(join(run, name))))].map(({ event }) => event));
}

/** What TensorBoard shows of a tag: files in the order of their names, and a start voids what is known from its step on (event_accumulator.py, `_Purge`). */
function curveOf(run: string, tag: string): [step: number, value: number][] {
  let points: [number, number][] = [];
  for (const { step, values, session } of eventsOf(run)) {
    if (session === 1) points = points.filter(([at]) => at < Number(step));
    for (const value of values)
      if (value.tag === tag && value.simple !== undefined) points.push([Number(step), value.simple]);
  }
  return points;
}

describe("the tensorboard sink", () => {
  it("writes settings and curves into the run's folder", () => {
    const out = folder();
    const sink = tensorboard.open({ folder: "", out, say: () => {} });
    sink.start(facts("lora-s3"));
    sink.scalar(1, { loss: 0.5, "grad_norm/A": 2 });
    sink.scalar(1, { eval_loss: 0.25, accuracy: 0.75, lr: 1, grad_norm: 1 });
    sink.artifact("predictions.jsonl", "…");
    void sink.finish("finished");
    const events = eventsOf(join(out, "tensorboard", "lora-s3"));
    expect(events[0]!.version).toBe("brain.Event:2");
    expect(events.flatMap(({ step, values }) => values.map(({ tag, simple }) => [Number(step), tag, simple]))).toEqual([
      [0, "_hparams_/experiment", undefined],
      [0, "_hparams_/session_start_info", undefined],
      [1, "loss", 0.5],
      [1, "grad_norm/A", 2],
      [1, "eval_loss", 0.25],
      [1, "accuracy", 0.75],
      [0, "_hparams_/session_end_info", undefined],
    ]);
    const [experiment, start, end] = events
      .flatMap(({ values }) => values)
      .flatMap(({ plugin }) => (plugin === undefined ? [] : [hparamsOf(plugin.content)]));
    expect(start!.start).toEqual({
      study: "study",
      config: "lora",
      seed: 3,
      "task.name": "planted-rank",
      "task.ranks.query": 1,
      base: "null",
      "method.method": "lora",
      "method.r": 4,
      "method.target": '["query","value"]',
      "method.dora": false,
      "train.lr": 0.01,
    });
    expect(Object.keys(experiment!.infos)).toEqual(Object.keys(start!.start));
    expect(experiment!.metrics).toEqual(["eval_loss", "accuracy"]);
    expect(end!.end).toBe(1);
    for (const { wallTime } of events) expect(Math.abs(wallTime - Date.now() / 1000)).toBeLessThan(60);
  });

  test.prop([
    fc.array(fc.record({ more: fc.integer({ min: 1, max: 5 }), lost: fc.nat(5), crash: fc.boolean() }), {
      minLength: 1,
      maxLength: 5,
    }),
  ])("of a run that was interrupted again and again, each step is shown once, as it was made last", (attempts) => {
    const out = folder();
    let [at, kept] = [0, [] as [number, number][]];
    for (const [attempt, { more, lost, crash }] of attempts.entries()) {
      // a checkpoint may be some steps old
      const resumed = Math.max(0, at - lost);
      kept = kept.filter(([step]) => step <= resumed);
      const sink = tensorboard.open({ folder: "", out, say: () => {} });
      sink.start(facts("run", resumed));
      for (let step = resumed + 1; step <= resumed + more; step++) {
        sink.scalar(step, { loss: 100 * attempt + step });
        kept.push([step, 100 * attempt + step]);
      }
      if (!crash) void sink.finish("interrupted");
      at = resumed + more;
    }
    expect(curveOf(join(out, "tensorboard", "run"), "loss")).toEqual(kept);
  });

  it("keeps several runs of one process apart, also in a folder of its own", () => {
    const out = folder();
    const sinks = ["a", "b"].map((name) => {
      const sink = tensorboard.open({ folder: "", out: "/nowhere", address: out, say: () => {} });
      sink.start(facts(name));
      return sink;
    });
    for (const step of [1, 2]) for (const [i, sink] of sinks.entries()) sink.scalar(step, { loss: 10 * i + step });
    for (const sink of sinks) void sink.finish("failed");
    expect(["a", "b"].map((name) => curveOf(join(out, name), "loss"))).toEqual([
      [
        [1, 1],
        [2, 2],
      ],
      [
        [1, 11],
        [2, 12],
      ],
    ]);
  });
});
