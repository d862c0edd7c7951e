/** Runs with every sink on, whose servers are well or ill: what a run leaves by itself is the same, and the sinks hold what it was told. */
import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { guestsOf, sinkWords } from "../src/cli/guests.ts";
import { Interrupted } from "../src/train/stop.ts";
import { csv } from "../src/sinks/csv.ts";
import { sunkRun, withServer, type SunkRun } from "./sunk-run.ts";
import { readEvents } from "./tfevents.ts";

const SMALL = [
  "task={name: planted-rank, train: 64, dev: 16, length: 6, ranks: {query: 1}}",
  "model={hidden: 8, layers: 1, heads: 2, intermediate: 8}",
  "train={epochs: 2, batchSize: 16, lr: 2e-2}",
  "configs={ada: {method: adalora, initR: 2, targetR: 1, target: [query, value], tinit: 1, tfinal: 1, deltaT: 1}}",
];
const STEPS = 8;

let device: Device;
let alone: SunkRun;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  alone = await sunkRun(device, SMALL, []);
});
afterAll(() => device.close());

type Row = Readonly<Record<string, string>>;
function rowsOf(text: string): Row[] {
  const [header, ...lines] = text
    .trimEnd()
    .split("\n")
    .map((line) => line.split(","));
  return lines.map((cells) => Object.fromEntries(header!.map((name, i) => [name, cells[i]!])));
}
/** What of them the config, the seed and the data decide. */
function determined(run: SunkRun) {
  const without = (row: Row, ...names: string[]): Row =>
    Object.fromEntries(Object.entries(row).filter(([name]) => !names.includes(name)));
  const measured = ["seconds", "tokens_per_second", "gflops", "rss_bytes"];
  return {
    predictions: run.read("predictions.jsonl"),
    ranks: run.read("ranks.csv"),
    metrics: rowsOf(run.read("metrics.csv")).map((row) => without(row, "seconds")),
    steps: rowsOf(run.read("steps.csv")).map((row) => without(row, ...measured)),
    adapter: run
      .read("SHA256SUMS")
      .split("\n")
      .filter((line) => line.includes("adapter/") && !line.includes("README")),
    events: run
      .read("events.jsonl")
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { event: string }).event),
  };
}

describe("a run with every sink on", () => {
  it("reaches them all", async () => {
    await withServer("none", async (address, server) => {
      const run = await sunkRun(device, SMALL, ["tensorboard", `mlflow=${address}`]);
      expect(determined(run)).toEqual(determined(alone));
      expect([server.violations, run.said.filter((line) => line.includes("sink "))]).toEqual([[], []]);
      const steps = rowsOf(run.read("steps.csv"));
      expect(steps).toHaveLength(STEPS);
      const [told] = server.runs.values();
      const losses = told!.metrics.filter(({ key }) => key === "loss").map(({ step, value }) => [step, value]);
      expect(losses).toEqual(steps.map(({ step, loss }) => [Number(step), Number(loss)]));
      const query = "rank/bert.encoder.layer.0.attention.self.query";
      const names =
        `loss grad_norm lr regularizer grad_norm/A grad_norm/B grad_norm/E grad_norm/head budget ranks_kept ${query} ${query.replace("query", "value")} tokens step_seconds tokens_per_second gflops arena_bytes rss_bytes device_bytes epoch train_loss eval_loss accuracy f1 seconds`.split(
          " ",
        );
      expect(new Set(told!.metrics.map(({ key }) => key))).toEqual(new Set(names));
      expect([...told!.files.keys()]).toContain("predictions.jsonl");
      expect([...told!.files.keys()]).toContain("result.json");
      expect(told!.states).toEqual(["RUNNING", "FINISHED"]);
      // the same numbers, as f32, in the event file
      const folder = join(run.out, "tensorboard", told!.name);
      const [file, ...others] = readdirSync(folder);
      expect(others).toEqual([]);
      const shown = [...readEvents(new Uint8Array(readFileSync(join(folder, file!))))].flatMap(({ event }) =>
        event.values.filter(({ tag }) => tag === "loss").map(({ simple }) => [Number(event.step), simple]),
      );
      expect(shown).toEqual(losses.map(([step, value]) => [step, Math.fround(Number(value))]));
    });
  });

  it("is one run to them where it was stopped and went on", async () => {
    await withServer("none", async (address, server) => {
      const sinks = ["tensorboard", `mlflow=${address}`];
      const out = mkdtempSync(join(tmpdir(), "lowrank-sinks-"));
      await expect(sunkRun(device, SMALL, sinks, out, 3)).rejects.toThrow(Interrupted);
      const run = await sunkRun(device, SMALL, sinks, out);
      const { events: _, ...others } = determined(alone);
      expect(determined(run)).toMatchObject(others);
      expect([server.violations, server.runs.size]).toEqual([[], 1]);
      const [told] = server.runs.values();
      expect(told!.states).toEqual(["RUNNING", "KILLED", "RUNNING", "FINISHED"]);
      const numbers = Array.from({ length: STEPS }, (_, i) => i + 1);
      const lossesAt = told!.metrics.filter(({ key }) => key === "loss").map(({ step }) => step);
      expect(lossesAt).toEqual(numbers);
      const folder = join(out, "tensorboard", told!.name);
      const files = readdirSync(folder).sort();
      expect(files).toHaveLength(2);
      const steps = files
        .flatMap((file) => [...readEvents(new Uint8Array(readFileSync(join(folder, file))))])
        .flatMap(({ event }) => event.values.filter(({ tag }) => tag === "loss").map(() => Number(event.step)));
      expect(steps).toEqual(numbers);
      const { speed } = JSON.parse(run.read("measures.json")) as { speed: Record<string, number> };
      expect(speed["tokensPerSecond"]).toBeGreaterThan(0);
      expect(speed["gflops"]).toBeGreaterThan(0);
    });
  });

  it.each(["down", "silent", "cut", 429, 500] as const)(
    "loses nothing of its own where the server is %s",
    async (state) => {
      await withServer(state, async (address) => {
        const run = await sunkRun(device, SMALL, ["tensorboard", `mlflow=${address}`]);
        expect(determined(run)).toEqual(determined(alone));
        const lines = run.said.filter((line) => line.includes("sink "));
        expect(lines).toEqual([
          expect.stringMatching(/sink mlflow: not delivered: 1 settings, \d+ steps, \d files, 1 status \(/),
        ]);
      });
    },
  );
});

describe("--sink", () => {
  it("binds an address to the sink that it is for", () => {
    const [first, second] = guestsOf(["mlflow=http://127.0.0.1:1/a=b", "tensorboard"]);
    expect([first!.name, second!.name]).toEqual(["mlflow", "tensorboard"]);
    expect(sinkWords()).toContain("tensorboard[=DIR");
    expect(sinkWords()).not.toContain(csv.name);
  });

  it.each([
    [["csv"], "--sink csv: every run has it; leave it out"],
    [["steps=x"], "--sink steps: every run has it; leave it out"],
    [["tensorboard", "tensorboard=dir"], "--sink tensorboard: given twice; leave it out"],
    [["tensorboard="], "--sink tensorboard=: the folder is missing"],
    [["mlflow=sqlite:///x.db"], "--sink mlflow=sqlite:///x.db: an address of a server is needed"],
    [["tensorbord=x"], 'there is no sink "tensorbord"; did you mean "tensorboard"?'],
  ])("%j is refused", (words, message) => expect(() => guestsOf(words)).toThrow(message));
});
