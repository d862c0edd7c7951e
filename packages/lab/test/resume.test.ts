/** A run that is killed at any point goes on to the same bits. */
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import * as node from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadStudy } from "../src/config/load.ts";
import { methods } from "../src/methods/registry.ts";
import type { SinkRecord } from "../src/records/sink.ts";
import type { TaskData } from "../src/records/task.ts";
import { LOCAL } from "../src/sinks/registry.ts";
import { Checkpoints, CHECKPOINTS, type Disk } from "../src/store/checkpoints.ts";
import { LAST_GOOD } from "../src/store/names.ts";
import { RunStore } from "../src/store/run-store.ts";
import { ProcessMemory, startMemory } from "../src/study/peak-rss.ts";
import { planStudy, type StudyRun } from "../src/study/plan-study.ts";
import { runStudy } from "../src/study/run-study.ts";
import { metricsOf, prepareTask, taskOf } from "../src/tasks/prepare.ts";
import { withRate } from "../src/train/rate.ts";
import { executeRun } from "../src/train/run.ts";
import { openSinks } from "../src/train/sinks.ts";
import { Interrupted, Stop } from "../src/train/stop.ts";
import { startProgress } from "../src/text/progress.ts";
import { mortalDisk, Killed } from "./mortal-disk.ts";
import { determined, RESUME_STUDY, STEPS } from "./resume-study.ts";

const temporary = (): string => mkdtempSync(join(tmpdir(), "lowrank-resume-"));

let device: Device;
let data: TaskData;
let runs: readonly StudyRun[];
const whole = new Map<string, Map<string, string>>();

beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  const folder = temporary();
  const file = join(folder, "study.yaml");
  writeFileSync(file, RESUME_STUDY);
  const environment = { dataFolder: folder, cacheFolder: folder };
  const options = { environment, code: "test", device: device.name, reuse: false };
  runs = await planStudy(await loadStudy(file, { set: [] }), new RunStore(folder), options);
  data = await prepareTask(runs[0]!.config, environment, device);
});
afterAll(() => device.close());

interface Kill {
  /** After this step was told of. */
  readonly step?: number;
  /** In this call of the file system while checkpoints are written. */
  readonly call?: number;
  /** When it has left its predictions and not yet its adapter. */
  readonly publishing?: boolean;
}

/** What `attempt` does, in a process that may die. Whether it did. */
async function attempt(
  out: string,
  { config: planned, ...run }: StudyRun,
  every: number,
  kill: Kill,
): Promise<boolean> {
  const beginning = new RunStore(out).begin(run.name);
  if (!("claimed" in beginning)) throw new Error("nobody else makes it");
  const folder = beginning.claimed;
  const disk: Disk = kill.call === undefined ? node : mortalDisk(kill.call);
  const store = new Checkpoints(folder.path, { identity: run.id, keep: 2, disk });
  const said: string[] = [];
  const from = await new Checkpoints(folder.path, { identity: run.id, keep: 2 }).newest((line) => said.push(line));
  expect(said).toEqual([]);
  folder.cutTo(from?.lengths ?? {}, from === undefined ? [] : [CHECKPOINTS, LAST_GOOD]);
  const method = methods.get(planned.method.method);
  const config = withRate(planned, method, data);
  folder.writeJson("config.json", { study: run.study, seed: run.seed, ...config });
  folder.writeJson("env.json", {});
  const killer: SinkRecord = {
    name: "killer",
    open: () => ({
      start: ({ resumed: step }) => expect(step).toBe(from?.step ?? 0),
      scalar(step) {
        if (step === kill.step) throw new Killed();
      },
      artifact() {
        if (kill.publishing === true) throw new Killed();
      },
      finish: () => {},
    }),
  };
  const sinks = openSinks({ local: [...LOCAL, killer], others: [] }, { folder: folder.path, out, say: () => {} });
  try {
    const { result, measures } = await executeRun(
      { ...run, config },
      { task: taskOf(config), data, metrics: metricsOf(config), method },
      {
        sinks,
        device,
        folder,
        progress: startProgress("quiet", "", 1),
        memory: new ProcessMemory(device, startMemory(device)),
        once: () => {},
        checkpoints: { store, every: { steps: every }, lengths: () => folder.lengths(), from },
      },
    );
    folder.commit(result, { ...measures, host: {} });
    return false;
  } catch (error) {
    if (!(error instanceof Killed)) throw error;
    // a dead process leaves its lock, which the next one takes over; this one lives on
    folder.leave();
    return true;
  }
}

/** Bytes of an uninterrupted run. */
async function wholeOf(run: StudyRun): Promise<Map<string, string>> {
  const known = whole.get(run.name);
  if (known !== undefined) return known;
  const out = temporary();
  expect(await attempt(out, run, Infinity, {})).toBe(false);
  const bytes = determined(new RunStore(out).path(run.name));
  whole.set(run.name, bytes);
  return bytes;
}

describe("a run", () => {
  it("has in it what a checkpoint must hold", async () => {
    const results = await Promise.all(runs.map(async (run) => JSON.parse((await wholeOf(run)).get("result.json")!)));
    const [ada, half, full] = results;
    expect(ada).toMatchObject({ stopped: { of: STEPS }, kept: { by: "accuracy" }, allocation: { finalizedAt: 16 } });
    expect(half.lossScaling.skipped).toBeGreaterThan(0);
    expect(full.kept.last.step).toBe(STEPS);
    for (const { start } of results) expect(start).toMatchObject({ step: 0, epoch: 0 });
  }, 60_000);

  const kill = fc.oneof(
    fc.record({ step: fc.integer({ min: 1, max: STEPS }) }),
    fc.record({ call: fc.integer({ min: 1, max: 120 }) }),
    fc.constant({ publishing: true }),
  );
  test.prop([fc.nat(2), fc.integer({ min: 1, max: 5 }), fc.array(kill, { minLength: 1, maxLength: 3 })], {
    numRuns: 6,
  })(
    "that is killed after any steps and while checkpoints are written leaves the bytes of an uninterrupted one",
    async (which, every, kills) => {
      const out = temporary();
      const run = runs[which]!;
      let left = [...kills];
      while (await attempt(out, run, every, left[0] ?? {})) left = left.slice(1);
      const folder = new RunStore(out).path(run.name);
      expect(determined(folder)).toEqual(await wholeOf(run));
      expect(new RunStore(out).finished(run.name)).toBeDefined();
    },
    120_000,
  );
});

describe("a run that is stopped from outside", () => {
  /** Runs the first config of the study; `at` is called after each step with the folder that it is made in. */
  async function study(out: string, at: (step: number, folder: string) => void, stop?: Stop) {
    const said: string[] = [];
    const watching: SinkRecord = {
      name: "watching",
      open: ({ folder }) => ({
        start: () => {},
        scalar: (step) => at(step, folder),
        artifact: () => {},
        finish: () => {},
      }),
    };
    const outcome = await runStudy([{ ...runs[0]!, done: undefined }], {
      out,
      device,
      store: new RunStore(out),
      environment: { dataFolder: out, cacheFolder: join(out, ".cache") },
      machine: {} as never,
      progress: "quiet",
      sinks: [watching],
      checkpoints: { every: { steps: 1 }, keep: 2 },
      stop,
      say: (line) => said.push(line),
    });
    return { ...outcome, said };
  }
  const work = (out: string): string => join(out, "runs", `.work-${runs[0]!.name}`);
  const sameAsWhole = async (out: string): Promise<void> =>
    expect(determined(new RunStore(out).path(runs[0]!.name))).toEqual(await wholeOf(runs[0]!));

  it.runIf(existsSync("/dev/full"))("by a full disk says so and goes on once there is room", async () => {
    const out = temporary();
    const { failures, said } = await study(out, (step, folder) => {
      if (step !== 5) return;
      rmSync(join(folder, "events.jsonl"));
      symlinkSync("/dev/full", join(folder, "events.jsonl"));
    });
    expect(failures).toEqual([
      expect.objectContaining({
        kept: work(out),
        message: `${work(out)}: there is no space left to write to (ENOSPC); free some; then the same command goes on with it from step 5`,
      }),
    ]);
    expect(said.at(-1)).toMatch(/: STOPPED: .*ENOSPC/);
    rmSync(join(work(out), "events.jsonl"));
    const again = await study(out, () => {});
    expect(again.said[0]).toMatch(/goes on from step 5, where it was saved$/);
    expect(again.failures).toEqual([]);
    await sameAsWhole(out);
  });

  it("by who removes its folder says so, and is made anew", async () => {
    const out = temporary();
    const { failures } = await study(out, (step, folder) => {
      if (step === 5) rmSync(folder, { recursive: true });
    });
    expect(failures[0]!.message).toBe(
      `${work(out)} is gone: somebody removed it while the run was made; leave it alone; then the same command begins it anew`,
    );
    expect((await study(out, () => {})).failures).toEqual([]);
    await sameAsWhole(out);
  });

  it("when it is asked to is saved, and says where", async () => {
    const out = temporary();
    const stop = new Stop();
    const asked = study(out, (step) => step === 7 && stop.ask("SIGTERM"), stop);
    await expect(asked).rejects.toThrow(/^ada-s1-[0-9a-f]{8}: step 7 is saved in .*step-000007$/);
    await expect(asked).rejects.toBeInstanceOf(Interrupted);
    const before = readFileSync(join(work(out), "metrics.csv"), "utf8");
    const again = await study(out, () => {});
    expect(again.said[0]).toMatch(/goes on from step 7/);
    await sameAsWhole(out);
    // lines that were written are not written again
    const lines = readFileSync(join(out, "runs", runs[0]!.name, "metrics.csv"), "utf8");
    expect(lines.startsWith(before)).toBe(true);
    expect(
      new Set(
        lines
          .trim()
          .split("\n")
          .map((line) => line.split(",")[0]),
      ).size,
    ).toBe(lines.trim().split("\n").length);
    // measured over both attempts
    const events = readFileSync(join(out, "runs", runs[0]!.name, "events.jsonl"), "utf8");
    for (const event of ["started", "interrupted", "resumed", "finished"])
      expect(events).toContain(`"event":"${event}"`);
  });

  it("where its state is damaged takes the one before, and where none is sound begins anew", async () => {
    for (const [damaged, line] of [
      [1, /goes on from step 6/],
      [2, /is damaged and is passed over/],
    ] as const) {
      const out = temporary();
      const stop = new Stop();
      await expect(study(out, (step) => step === 7 && stop.ask("SIGTERM"), stop)).rejects.toThrow(Interrupted);
      const folder = join(work(out), CHECKPOINTS);
      for (const name of readdirSync(folder).sort().slice(-damaged))
        appendFileSync(join(folder, name, "state.json"), " ");
      const again = await study(out, () => {});
      expect(again.said[damaged === 1 ? 1 : 0]).toMatch(line);
      expect(again.said.filter((said) => said.includes("passed over"))).toHaveLength(damaged);
      await sameAsWhole(out);
    }
  });
});
