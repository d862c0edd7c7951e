import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { InputError } from "../src/errors.ts";
import { writeDigests } from "../src/store/digests.ts";
import { GONE_SECONDS, lockFolder, LostLock } from "../src/store/lock.ts";
import type { FinishedRun, RunMeasures } from "../src/store/measures.ts";
import type { RunResult } from "../src/store/result.ts";
import { RunStore, type RunFolder } from "../src/store/run-store.ts";
import { indistinguishable, resultsCsv, spread, summarize, summaryTable } from "../src/store/summary.ts";
import { argmaxRows, meanCrossEntropy } from "../src/tasks/classification.ts";
import { metricsOf } from "./metrics-of.ts";

function result(config: string, seed: number, accuracy: number, overrides: Partial<RunResult> = {}): RunResult {
  const evaluation = { step: 10, epoch: 1, loss: 0.5, accuracy, f1: accuracy, f1Classes: [1], examples: 100 };
  return {
    id: `${config}${seed}`,
    cell: "c",
    name: `${config}-s${seed}`,
    config,
    method: "lora",
    task: "t",
    seed,
    device: "wasm",
    fresh: [],
    final: evaluation,
    best: evaluation,
    parameters: { trainable: 1200, effective: 1200, total: 48_000, percent: 2.5 },
    modules: [],
    steps: 10,
    predictions: { sha256: `${config}${seed}`, labelsSha256: `${config}${seed}` },
    proofs: [],
    ...overrides,
  };
}

const MEASURES: RunMeasures = {
  seconds: { total: 75, training: 60, perStep: 0.0125 },
  memory: {
    arenaBytes: 2 ** 20,
    persistentBytes: 2 ** 20,
    peakRssBytes: 2 ** 28,
    split: { frozenWeights: 1, trainableWeights: 1, optimizerState: 1, activationsAndGradients: 1 },
  },
  speed: { tokensPerSecond: 100, gflops: null },
  host: {},
};

function finished(...of: Parameters<typeof result>): FinishedRun {
  return { ...result(...of), study: "s", resolved: { base: null } as never, measures: MEASURES };
}

const ALWAYS = ["config.json", "env.json", "events.jsonl", "metrics.csv", "predictions.jsonl"];
const ADAPTER = ["adapter/adapter_config.json", "adapter/adapter_model.safetensors"];
const BASE = ["base/config.json", "base/model.safetensors"];
const CHECKPOINT = ["checkpoint/config.json", "checkpoint/model.safetensors"];

/** The folder with the files that a run of the method has. */
function filled(
  folder: RunFolder,
  files: readonly string[] = [...ALWAYS, ...ADAPTER, ...BASE],
  base: string | null = null,
): RunFolder {
  for (const file of files) {
    mkdirSync(dirname(join(folder.path, file)), { recursive: true });
    if (folder.has(file)) continue;
    if (file === "config.json") folder.writeJson(file, { study: "s", seed: 1, base });
    else folder.write(file, Uint8Array.of(1, 2, 3));
  }
  return folder;
}

/** The work folder, which nobody else holds. */
function begun(store: RunStore, name: string): RunFolder {
  const beginning = store.begin(name);
  if ("claimed" in beginning) return beginning.claimed;
  throw new Error(`${name} is not there to be made: ${JSON.stringify(beginning)}`);
}

describe("the run store", () => {
  const store = () => new RunStore(mkdtempSync(join(tmpdir(), "lowrank-store-")));

  it("shows a run only when it is finished", () => {
    const runs = store();
    const folder = begun(runs, "a-s1-00");
    folder.event("step", { step: 1 });
    expect(runs.all()).toEqual([]);
    expect(runs.finished("a-s1-00")).toBeUndefined();
    expect(filled(folder).commit(result("a", 1, 0.5, { name: "a-s1-00" }), MEASURES)).toBe(true);
    expect(runs.finished("a-s1-00")).toMatchObject({ config: "a", seed: 1 });
    expect(JSON.parse(readFileSync(join(runs.path("a-s1-00"), "events.jsonl"), "utf8"))).toMatchObject({
      event: "step",
      step: 1,
    });
  });

  it("has one writer of a run, says who that is, and what came of it", () => {
    const runs = store();
    const first = filled(begun(runs, "a"));
    expect(runs.begin("a")).toEqual({ busy: expect.objectContaining({ pid: process.pid, host: hostname() }) });
    expect(first.commit(result("first", 1, 0.5, { name: "a" }), MEASURES)).toBe(true);
    expect(runs.begin("a")).toMatchObject({ done: { config: "first" } });
    expect(readdirSync(runs.folder)).toEqual(["a"]);
    expect(existsSync(join(runs.path("a"), ".lock"))).toBe(false);
  });

  it("goes on with what was given back or left by a process that is gone, and cuts it to where it was", () => {
    const runs = store();
    const first = begun(runs, "a");
    first.append("metrics.csv", "1");
    first.append("metrics.csv", "2");
    first.write("half.bin", Uint8Array.of(1));
    first.event("started");
    first.leave();
    writeFileSync(join(first.path, ".lock"), JSON.stringify({ host: hostname(), pid: 99_999_999, started: null }));
    const second = begun(runs, "a");
    expect(second.path).toBe(first.path);
    second.cutTo({ "metrics.csv": 2 });
    expect(readdirSync(second.path).sort()).toEqual([".lock", "events.jsonl", "metrics.csv"]);
    expect(readFileSync(join(second.path, "metrics.csv"), "utf8")).toBe("1\n");
    expect(readFileSync(join(second.path, "events.jsonl"), "utf8")).toContain("started");
  });

  it("does not publish what another process has taken over", () => {
    const runs = store();
    const first = filled(begun(runs, "a"));
    writeFileSync(join(first.path, ".lock"), JSON.stringify({ host: "elsewhere", pid: 1, started: null }));
    expect(() => first.commit(result("first", 1, 0.5, { name: "a" }), MEASURES)).toThrow(LostLock);
    expect(runs.finished("a")).toBeUndefined();
    first.leave();
    expect(existsSync(join(first.path, ".lock"))).toBe(true);
  });

  it("notices whatever is altered, missing or put in another's place", () => {
    const runs = store();
    const make = (name: string): string => {
      filled(begun(runs, name)).commit(result("a", 1, 0.5, { name }), MEASURES);
      return runs.path(name);
    };
    const edit = (path: string, change: (text: string) => string): void =>
      writeFileSync(path, change(readFileSync(path, "utf8")));
    const cases: [string, (folder: string) => void, string][] = [
      [
        "edited",
        (f) => edit(join(f, "result.json"), (text) => text.replace(/"accuracy": 0.5/g, '"accuracy": 0.999')),
        "result.json is not what was written",
      ],
      [
        "reseeded",
        (f) => edit(join(f, "result.json"), (text) => text.replace('"seed": 1', '"seed": 2')),
        "result.json is not what was written",
      ],
      ["no-predictions", (f) => rmSync(join(f, "predictions.jsonl")), "predictions.jsonl is missing"],
      [
        "other-adapter",
        (f) => writeFileSync(join(f, "adapter/adapter_model.safetensors"), Uint8Array.of(1, 2, 4)),
        "adapter/adapter_model.safetensors is not what was written",
      ],
      ["no-adapter", (f) => rmSync(join(f, "adapter"), { recursive: true }), "adapter/adapter_config.json is missing"],
      ["no-sums", (f) => rmSync(join(f, "SHA256SUMS")), "has no SHA256SUMS"],
      ["empty-sums", (f) => writeFileSync(join(f, "SHA256SUMS"), ""), "is empty"],
      [
        "outside",
        (f) => edit(join(f, "SHA256SUMS"), (text) => text.replace("result.json", "../x/result.json")),
        "is not a digest and a name",
      ],
      [
        "unlisted-result",
        (f) => {
          edit(join(f, "SHA256SUMS"), (text) => text.replace(/.*result\.json\n/, ""));
          edit(join(f, "result.json"), (text) => text.replace(/"accuracy": 0.5/g, '"accuracy": 0.999'));
        },
        "result.json is not listed in SHA256SUMS",
      ],
      [
        "an-addition",
        (f) => writeFileSync(join(f, "adapter/more.bin"), "x"),
        "adapter/more.bin is not listed in SHA256SUMS",
      ],
      ["a-link", (f) => symlinkSync("config.json", join(f, "link.json")), "link.json is not listed in SHA256SUMS"],
      [
        "inner-sums",
        (f) => writeFileSync(join(f, "adapter/SHA256SUMS"), ""),
        "adapter/SHA256SUMS is not listed in SHA256SUMS",
      ],
      [
        "a-device",
        (f) => {
          rmSync(join(f, "predictions.jsonl"));
          symlinkSync("/dev/zero", join(f, "predictions.jsonl"));
        },
        "is no ordinary file",
      ],
      // digests that fit do not help: the shape is checked, too
      [
        "short",
        (f) => {
          writeFileSync(join(f, "result.json"), JSON.stringify({ name: "short" }));
          writeDigests(f);
        },
        `"id" is missing`,
      ],
      [
        "huge",
        (f) => {
          edit(join(f, "result.json"), (text) => text.replace(/"accuracy": 0.5/, '"accuracy": 1.5'));
          writeDigests(f);
        },
        `"final.accuracy" is 1.5`,
      ],
    ];
    for (const [name, alter, message] of cases) {
      const folder = make(name);
      expect(runs.finished(name)).toMatchObject({ name });
      alter(folder);
      expect(() => runs.finished(name), name).toThrow(message);
      expect(() => runs.all()).toThrow(InputError);
      rmSync(folder, { recursive: true });
    }
    renameSync(make("one"), runs.path("two"));
    expect(() => runs.finished("two")).toThrow(`is a copy of the run "one" under another name`);
  });

  it.each([
    ["lora", null, [...ALWAYS, "measures.json", ...ADAPTER, ...BASE]],
    ["adalora", "a-checkpoint", [...ALWAYS, ...ADAPTER]],
    ["full", null, [...ALWAYS, ...CHECKPOINT]],
  ])(
    "a %s run on the base %s has every file that its method writes, also where lines and files went together",
    (method, base, files) => {
      const runs = store();
      for (const [i, gone] of files.entries()) {
        const name = `run-${i}`;
        filled(begun(runs, name), files, base).commit(result("a", 1, 0.5, { name, method }), MEASURES);
        expect(runs.finished(name)).toMatchObject({ name });
        rmSync(join(runs.path(name), gone));
        const sums = join(runs.path(name), "SHA256SUMS");
        writeFileSync(
          sums,
          readFileSync(sums, "utf8")
            .split("\n")
            .filter((line) => !line.endsWith(`  ${gone}`))
            .join("\n"),
        );
        expect(() => runs.finished(name), gone).toThrow(`${gone} is not listed in SHA256SUMS`);
      }
    },
  );

  it("writes digests that sha256sum checks", () => {
    const runs = store();
    filled(begun(runs, "a"), ["config.json", "adapter/adapter_config.json"]).commit(
      result("a", 1, 0.5, { name: "a" }),
      MEASURES,
    );
    const { status, stdout } = spawnSync("sha256sum", ["--check", "SHA256SUMS"], {
      cwd: runs.path("a"),
      encoding: "utf8",
    });
    expect([status, stdout]).toEqual([
      0,
      "adapter/adapter_config.json: OK\nconfig.json: OK\nmeasures.json: OK\nresult.json: OK\n",
    ]);
  });

  it("sets aside what holds no result and what a dead process left, and loses nothing of it", () => {
    const runs = store();
    mkdirSync(runs.path("a"), { recursive: true });
    writeFileSync(join(runs.path("a"), "notes.txt"), "mine");
    // process ids end at 2^22 on Linux
    mkdirSync(join(runs.folder, ".tmp-a-99999999-00000000"));
    writeFileSync(join(runs.folder, ".tmp-a-99999999-00000000", "metrics.csv"), "1");
    const others = begun(runs, "a-b");
    expect(runs.finished("a")).toBeUndefined();
    const folder = begun(runs, "a");
    expect(
      folder.setAside
        .map((path) => readdirSync(path))
        .flat()
        .sort(),
    ).toEqual(["metrics.csv", "notes.txt"]);
    mkdirSync(runs.path("a"));
    writeFileSync(join(runs.path("a"), "later.txt"), "mine, too");
    expect(filled(folder).commit(result("a", 1, 0.5, { name: "a" }), MEASURES)).toBe(true);
    expect(runs.finished("a")).toBeDefined();
    expect(
      readdirSync(runs.folder)
        .filter((name) => name.startsWith(".set-aside-a-"))
        .flatMap((name) => readdirSync(join(runs.folder, name)))
        .sort(),
    ).toEqual(["later.txt", "metrics.csv", "notes.txt"]);
    expect(existsSync(others.path)).toBe(true);
  });

  it("keeps a failed run's files apart, and drops them once the run succeeds", () => {
    const runs = store();
    const folder = begun(runs, "a");
    folder.write("checkpoint.bin", Uint8Array.of(1, 2));
    const kept = folder.fail(new Error("loss is NaN at step 3"));
    expect(readdirSync(kept).sort()).toEqual(["checkpoint.bin", "error.json", "events.jsonl"]);
    expect(runs.all()).toEqual([]);
    begun(runs, "a").commit(result("a", 1, 0.5), MEASURES);
    expect(existsSync(kept)).toBe(false);
  });
});

describe("a locked folder", () => {
  const folder = (): string => mkdtempSync(join(tmpdir(), "lowrank-lock-"));

  it("is refused to everybody else and given back", () => {
    const at = folder();
    const lock = lockFolder(at);
    expect(() => lockFolder(at)).toThrow(
      `${at}: is in use by process ${process.pid}; wait for it or choose another folder`,
    );
    lock.release();
    expect(readdirSync(at)).toEqual([]);
    lockFolder(at).release();
  });

  it.each([
    ["of a process that is gone", { host: hostname(), pid: 99_999_999, started: null }],
    ["of an earlier process with the id of a living one", { host: hostname(), pid: process.pid, started: "1" }],
    ["that was not written to the end", '{"host":'],
  ])("is taken over with a lock %s", (_, content) => {
    const at = folder();
    writeFileSync(join(at, ".lock"), typeof content === "string" ? content : JSON.stringify(content));
    lockFolder(at).release();
    expect(readdirSync(at)).toEqual([]);
  });

  it("is left alone with a lock of another machine, whose processes cannot be seen, until it gives no sign of life", () => {
    const at = folder();
    const path = join(at, ".lock");
    writeFileSync(path, JSON.stringify({ host: "elsewhere", pid: 1, started: null }));
    const ago = (seconds: number): void => utimesSync(path, new Date(), new Date(Date.now() - 1000 * seconds));
    ago(GONE_SECONDS - 60);
    expect(() => lockFolder(at)).toThrow(
      /on another machine, elsewhere; choose another folder, or delete .*\.lock if that process is gone/,
    );
    ago(GONE_SECONDS + 60);
    lockFolder(at).release();
    expect(readdirSync(at)).toEqual([]);
  });
});

describe("the summary", () => {
  it("has the mean and the sample standard deviation over seeds", () => {
    // 0.90, 0.92, 0.94: mean 0.92, sd √(2·0.02²/2) = 0.02.
    expect(spread([0.9, 0.92, 0.94])).toEqual({ mean: expect.closeTo(0.92, 12), sd: expect.closeTo(0.02, 12), n: 3 });
    expect(spread([0.9]).sd).toBeNull();
  });

  it("prints a table with n and ±, and without ± for a single run", () => {
    const rows = summarize([finished("lora", 1, 0.9), finished("lora", 2, 0.92), finished("head", 1, 0.8)]);
    expect(`\n${summaryTable(rows)}\n`).toMatchInlineSnapshot(`
      "
      | config |   n |   accuracy % |         F1 % | trainable | % of all | ms/step |  time |  memory |
      | ------ | --: | -----------: | -----------: | --------: | -------: | ------: | ----: | ------: |
      | lora   |   2 | 91.00 ± 1.41 | 91.00 ± 1.41 |     1,200 |     2.50 |    12.5 | 1m15s | 2.0 MiB |
      | head   |   1 |        80.00 |        80.00 |     1,200 |     2.50 |    12.5 | 1m15s | 2.0 MiB |
      "
    `);
  });

  it("has what was there before the first step, in a column of its own, of runs that were evaluated there", () => {
    const start = { step: 0, epoch: 0, loss: 0.7, accuracy: 0.5, f1: 0.4, examples: 10 };
    const results = [
      finished("lora", 1, 0.9, { start }),
      finished("lora", 2, 0.92, { start: { ...start, accuracy: 0.52 } }),
      finished("head", 1, 0.8),
    ];
    expect(`\n${summaryTable(summarize(results))}\n`).toMatchInlineSnapshot(`
      "
      | config |   n | accuracy % before |   accuracy % |         F1 % | trainable | % of all | ms/step |  time |  memory |
      | ------ | --: | ----------------: | -----------: | -----------: | --------: | -------: | ------: | ----: | ------: |
      | lora   |   2 |      51.00 ± 1.41 | 91.00 ± 1.41 | 91.00 ± 1.41 |     1,200 |     2.50 |    12.5 | 1m15s | 2.0 MiB |
      | head   |   1 |                   |        80.00 |        80.00 |     1,200 |     2.50 |    12.5 | 1m15s | 2.0 MiB |
      "
    `);
    const lines = resultsCsv(results).trim().split("\n");
    const at = lines[0]!.split(",").indexOf("start_accuracy");
    expect(lines[0]!.split(",").slice(at, at + 3)).toEqual(["start_accuracy", "start_f1", "start_loss"]);
    expect(lines.slice(1).map((line) => line.split(",").slice(at, at + 3))).toEqual([
      ["0.5", "0.4", "0.7"],
      ["0.52", "0.4", "0.7"],
      ["", "", ""],
    ]);
    expect(resultsCsv(results.slice(2))).not.toContain("start_");
  });

  it("writes one CSV line per run", () => {
    const [header, first, ...rest] = resultsCsv([finished("lora", 1, 0.9), finished("head", 1, 0.8)])
      .trim()
      .split("\n");
    expect(header!.split(",").slice(0, 7)).toEqual(["study", "task", "config", "method", "seed", "accuracy", "f1"]);
    expect(first).toMatch(/^s,t,lora,lora,1,0\.9,0\.9,/);
    expect(rest).toHaveLength(1);
  });

  it("finds configs whose predictions cannot be told apart, within a seed only", () => {
    const same = { steps: 50, predictions: { sha256: "x", labelsSha256: "y" } };
    const labels = { steps: 50, predictions: { sha256: "z", labelsSha256: "y" } };
    expect(
      indistinguishable([
        finished("a", 1, 0.9, same),
        finished("b", 1, 0.9, same),
        finished("c", 1, 0.9, labels),
        finished("d", 2, 0.9, same),
      ]),
    ).toEqual([
      { seed: 1, configs: ["a", "b"], identical: "logits" },
      { seed: 1, configs: ["a", "c"], identical: "labels" },
      { seed: 1, configs: ["b", "c"], identical: "labels" },
    ]);
    // equal decisions of a few steps say nothing, equal logits of any number do
    const short = { steps: 49 };
    expect(
      indistinguishable([
        finished("a", 1, 0.9, { ...same, ...short }),
        finished("b", 1, 0.9, { ...same, ...short }),
        finished("c", 1, 0.9, { ...labels, ...short }),
      ]),
    ).toEqual([{ seed: 1, configs: ["a", "b"], identical: "logits" }]);
  });
});

describe("metrics", () => {
  it("agree with hand counts", () => {
    // tp 2, fp 1, fn 1, tn 1: accuracy 3/5, F1 = 2·2 / (3 + 3).
    expect(metricsOf([1, 1, 1, 0, 0], [1, 1, 0, 1, 0], 2)).toEqual({
      accuracy: 0.6,
      f1: 2 / 3,
      f1Classes: [1],
    });
    expect([...argmaxRows([0.1, 0.2, 0.3, 0.3], 2)]).toEqual([1, 0]);
    // −log softmax([0, log 3])[1] = −log(3/4)
    expect(meanCrossEntropy([0, Math.log(3)], [1], 2)).toBeCloseTo(-Math.log(0.75), 14);
    expect(meanCrossEntropy([1000, -1000], [1], 2)).toBe(2000);
    // torch.argmax: the first NaN wins
    expect([...argmaxRows([1, Number.NaN, Number.NaN, 9], 4)]).toEqual([1]);
  });

  it("leave classes out of macro F1 that neither labels nor predictions hold, and say which are in", () => {
    // per class 2/3, 1, 2/3 over classes 0, 1, 3 of four: scikit-learn gives 0.7778, a mean over all four 0.5833
    expect(metricsOf([0, 1, 0, 3], [0, 1, 3, 3], 4)).toEqual({
      accuracy: 0.75,
      f1: (2 / 3 + 1 + 2 / 3) / 3,
      f1Classes: [0, 1, 3],
    });
    expect(metricsOf([], [], 4)["f1"]).toBeNaN();
  });
});
