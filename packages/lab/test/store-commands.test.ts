/** `lowrank ls`, `show`, `compare` and `gc` on stores in every state. */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { fc, test } from "@fast-check/vitest";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeDigests } from "../src/store/digests.ts";
import { compareRuns } from "../src/store/compare-runs.ts";
import { rankMap } from "../src/store/rank-map.ts";
import { readRuns } from "../src/store/read-runs.ts";
import { RunStore } from "../src/store/run-store.ts";
import { readRun } from "../src/store/read-run.ts";
import { printed } from "./printed.ts";
import { writeSyntheticRun, writeSyntheticStore } from "./synthetic-store.ts";

const made: string[] = [];
const temporary = (): string => {
  made.push(mkdtempSync(join(tmpdir(), "lowrank-store-")));
  return made.at(-1)!;
};
afterAll(() => made.forEach((folder) => rmSync(folder, { recursive: true, force: true })), 120_000);

/** One run of each state. */
function everyState(): string {
  const out = temporary();
  const small = { layers: 2, steps: 40, digests: true };
  writeSyntheticRun(out, { config: "b-fp", seed: 1, ...small });
  writeSyntheticRun(out, { config: "b-ada", seed: 1, ...small });
  for (const [i, state] of (["working", "interrupted", "failed"] as const).entries())
    writeSyntheticRun(out, { config: "b-ada", seed: 2 + i, ...small, at: { step: 25, state } });
  const runs = join(out, "runs");
  const damaged = writeSyntheticRun(out, { config: "b-q4", seed: 5, ...small });
  truncateSync(join(runs, damaged, "result.json"), 100);
  const copied = writeSyntheticRun(out, { config: "b-q4", seed: 6, ...small });
  renameSync(join(runs, copied), join(runs, "copy"));
  mkdirSync(join(runs, "something else"));
  symlinkSync("/", join(runs, "link"));
  mkdirSync(join(runs, ".set-aside-b-fp-s9-0123abcd-01234567"));
  mkdirSync(join(runs, ".tmp-b-fp-s8-0123abcd-999999999-01234567"));
  writeFileSync(join(runs, "notes.txt"), "mine");
  return out;
}

describe("reading a store", () => {
  const out = everyState();
  const entries = readRuns(join(out, "runs"));
  const states = Object.fromEntries(entries.map(({ folder, state }) => [folder.replace(/-[0-9a-f]{8}$/, ""), state]));

  it("tells every state", () => {
    expect(states).toEqual({
      "b-fp-s1": "finished",
      "b-ada-s1": "finished",
      ".work-b-ada-s2": "working",
      ".work-b-ada-s3": "interrupted",
      ".failed-b-ada-s4": "failed",
      "b-q4-s5": "damaged",
      copy: "damaged",
      "something else": "foreign",
      link: "foreign",
      ".set-aside-b-fp-s9-0123abcd": "set-aside",
      ".tmp-b-fp-s8-0123abcd-999999999": "interrupted",
    });
  });

  it("says who makes a run and how far it is, from the last line that is whole", () => {
    const working = entries.find(({ state }) => state === "working")!;
    expect(working).toMatchObject({ step: 25, steps: 40, config: "b-ada", seed: 2, holder: { pid: process.pid } });
    expect(working.metrics["accuracy"]).toBeGreaterThan(0);
    const steps = join(out, "runs", working.folder, "steps.csv");
    writeFileSync(steps, "26,0.12", { flag: "a" });
    expect(readRuns(join(out, "runs")).find(({ state }) => state === "working")!.step).toBe(25);
    writeFileSync(steps, "5,1\n", { flag: "a" });
    expect(readRuns(join(out, "runs")).find(({ state }) => state === "working")).toMatchObject({
      step: 26,
      loss: 0.125,
    });
  });

  it("tells how many steps there will be from what the run said when it began", () => {
    const store = temporary();
    const name = writeSyntheticRun(store, {
      config: "b-fp",
      seed: 1,
      layers: 1,
      at: { step: 3, state: "interrupted" },
    });
    const folder = join(store, "runs", `.work-${name}`);
    writeFileSync(join(folder, "config.json"), JSON.stringify({ name: "b-fp", train: { epochs: 3 } }));
    expect(readRuns(join(store, "runs"))[0]).toMatchObject({ step: 3, steps: 200 });
    writeFileSync(join(folder, "events.jsonl"), "");
    expect(readRuns(join(store, "runs"))[0]).toMatchObject({ step: 3, steps: undefined });
  });

  it("is tried on runs that the store itself takes for finished ones", () => {
    const store = temporary();
    const names = writeSyntheticStore(store, { runs: 6, layers: 1, steps: 8, digests: true });
    expect(new RunStore(store).all().map(({ name }) => name)).toEqual([...names].sort());
  });

  it("reads results of before measures were apart", () => {
    const { folder } = entries.find(({ name }) => name.startsWith("b-fp-s1"))!;
    const path = join(out, "runs", folder);
    const old = temporary();
    mkdirSync(join(old, "runs", folder), { recursive: true });
    const json = (file: string): Record<string, unknown> => JSON.parse(readFileSync(join(path, file), "utf8"));
    const { seconds, memory } = json("measures.json");
    writeFileSync(
      join(old, "runs", folder, "result.json"),
      JSON.stringify({ ...json("result.json"), study: "older", seconds, memory }),
    );
    expect(readRuns(join(old, "runs"))[0]).toMatchObject({ state: "finished", study: "older", seconds: 8 });
    expect(readRun(join(old, "runs"), folder).measures).toEqual({ seconds, memory });
  });

  const files = [
    "result.json",
    "config.json",
    "metrics.csv",
    "ranks.csv",
    "events.jsonl",
    "measures.json",
    "predictions.jsonl",
  ];
  const json = fc.json({ depthSize: "small" });
  const content = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    json,
    json.map(
      (text) => `{"name":"run","config":"b","final":${text},"modules":${text},"proofs":[${text}],"warnings":[${text}]}`,
    ),
    fc.string({ unit: fc.constantFrom(...'0123456789.,-\nstepabcE{}[]"'), maxLength: 200 }),
  );
  test.prop([
    fc.array(fc.tuple(fc.constantFrom(...files), content), { maxLength: 6 }),
    fc.constantFrom("run", ".work-run", ".failed-run"),
  ])("fails for nothing that a folder may hold", async (written, folder) => {
    const store = join(temporary(), "runs");
    mkdirSync(join(store, folder), { recursive: true });
    for (const [file, text] of written) writeFileSync(join(store, folder, file), text);
    const [entry] = readRuns(store);
    expect(entry).toMatchObject({ name: "run", folder });
    const detail = readRun(store, folder);
    // what is shown is what can be said
    expect(JSON.parse(JSON.stringify(detail))).toBeTruthy();
    expect(rankMap(detail)?.layers.length ?? 1).toBeGreaterThan(0);
    await compareRuns({ folder: join(store, folder), detail }, { folder: join(store, folder), detail });
    for (const command of [["ls"], ["show", "run"]]) {
      const { stderr } = await printed(...command, "--out", join(store, ".."));
      expect(stderr).not.toContain("internal:");
    }
  });

  it("follows no link out of a run's folder", () => {
    const store = temporary();
    const secret = join(temporary(), "secret.json");
    writeFileSync(secret, JSON.stringify({ message: "secret" }));
    const name = writeSyntheticRun(store, { config: "b-fp", seed: 1, layers: 1, at: { step: 3, state: "failed" } });
    const folder = join(store, "runs", `.failed-${name}`);
    for (const file of ["error.json", "config.json", "metrics.csv"]) {
      rmSync(join(folder, file));
      symlinkSync(secret, join(folder, file));
    }
    const detail = readRun(join(store, "runs"), `.failed-${name}`);
    expect(JSON.stringify(detail)).not.toContain("secret");
    expect(readRuns(join(store, "runs"))[0]).toMatchObject({ state: "failed", config: undefined });
  });
});

describe("ls", () => {
  const out = everyState();

  it("shows a line for each run, and what is wrong with it", async () => {
    const { code, stdout } = await printed("ls", "--out", out);
    expect(code).toBe(0);
    const line = (start: string): string => stdout.split("\n").find((one) => one.trim().startsWith(start))!;
    expect(line("b-fp-s1")).toMatch(/finished +40 +0\.\d{4} +9\d\.\d\d/);
    expect(line("b-ada-s2")).toMatch(new RegExp(`working +25/40 .*process ${process.pid} on `));
    expect(line("b-ada-s4")).toContain("step 7: the loss is not finite");
    expect(line("b-q4-s5")).toContain("result.json cannot be read");
    expect(line("copy")).toContain("under another name");
    expect(line("link")).toContain("not followed");
    expect(stdout).toContain(
      "11 runs: 2 finished, 1 working, 2 interrupted, 1 failed, 1 set-aside, 2 damaged, 2 foreign\n",
    );
  });

  it("tells damage that is seen without digests, and gc leaves it alone", async () => {
    const store = temporary();
    const folder = join(
      store,
      "runs",
      writeSyntheticRun(store, { config: "b-fp", seed: 1, layers: 1, steps: 8, digests: true }),
    );
    const said = async (): Promise<string> => (await printed("ls", "--out", store)).stdout;
    expect(await said()).toContain("1 run: 1 finished");
    const [extra, measures, result] = ["more.txt", "measures.json", "result.json"].map((file) =>
      join(folder, file),
    ) as [string, string, string];
    writeFileSync(extra, "x");
    expect(await said()).toMatch(/damaged .*more\.txt is not listed in SHA256SUMS/);
    rmSync(extra);
    const whole = readFileSync(measures, "utf8");
    writeFileSync(measures, JSON.stringify({ ...JSON.parse(whole), memory: {} }));
    expect(await said()).toMatch(/damaged .*measures\.json is not what a run measures/);
    writeFileSync(measures, whole);
    rmSync(result);
    expect(await said()).toMatch(/damaged .*result\.json is missing/);
    expect((await printed("gc", "--out", store, "--yes")).stdout).toBe("nothing to remove\n");
    expect(existsSync(measures)).toBe(true);
  });

  it("cuts the middle of a long name in the table, and nothing in JSON", async () => {
    const store = temporary();
    const name = writeSyntheticRun(store, { config: "b".repeat(180), seed: 1, layers: 1, steps: 8, digests: true });
    const { stdout } = await printed("ls", "--out", store);
    expect(stdout).toContain(`…${name.slice(-20)} `);
    expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThan(140);
    expect(JSON.parse((await printed("ls", "--out", store, "--json")).stdout)[0].name).toBe(name);
  });

  it("filters, sorts and prints JSON", async () => {
    const json = async (...args: string[]): Promise<{ name: string; metrics: Record<string, number> }[]> =>
      JSON.parse((await printed("ls", "--out", out, "--json", ...args)).stdout);
    expect(await json()).toHaveLength(11);
    expect((await json("--state", "finished,failed")).map(({ name }) => name.slice(0, 8))).toEqual([
      "b-ada-s1",
      "b-ada-s4",
      "b-fp-s1-",
    ]);
    expect(await json("--config", "b-fp")).toHaveLength(1);
    const sorted = (await json("--sort", "accuracy")).flatMap(({ metrics }) => metrics["accuracy"] ?? []);
    expect(sorted).toEqual([...sorted].sort((a, b) => b - a));
    // runs without the value come last
    expect((await json("--sort", "accuracy")).at(-1)!.metrics).toEqual({});
  });

  it("finds stores below a folder, and says so where there are none", async () => {
    const above = temporary();
    for (const study of ["one", "two"])
      writeSyntheticRun(join(above, "runs", study), { config: "b-fp", seed: 1, layers: 1, steps: 8 });
    for (const at of [above, join(above, "runs")]) {
      const { stdout } = await printed("ls", "--out", at);
      expect(stdout).toMatch(/one .*\n.*two /);
    }
    expect((await printed("ls", "--out", join(above, "runs", "one", "runs"))).stdout).toContain("1 run: 1 finished");
    expect(await printed("show", "b-fp", "--out", above)).toMatchObject({
      code: 2,
      stderr: `lowrank: "b-fp" is in 2 stores; give --out of one of them: runs/one, runs/two\n`,
    });
  });

  it.each([
    [["ls", "--out", "/nowhere"], /^lowrank: --out \/nowhere: holds no runs; give the folder/],
    [["ls", "--out", out, "--state", "finshed"], /^lowrank: --state finshed: expected one of finished, working/],
    [["ls", "--out", out, "--config", "b-fpp"], /--config b-fpp: no run here has that config; did you mean "b-fp"\?/],
    [["ls", "--out", out, "--sort", "acuracy"], /--sort acuracy: expected one of .*did you mean "accuracy"\?/],
    [["show", "b-ada", "--out", out], /"b-ada" is the beginning of 4 runs: b-ada-s/],
    [["show", "c-ada", "--out", out], /no run is called "c-ada".*lowrank ls/],
    [["compare", "b-fp-s1", "b-fp-s1", "--out", out], /^lowrank: b-fp-s1 and b-fp-s1 are the same run; give two\n$/],
    [["gc", "--out", out, "--yes", "--dry-run"], /leave one of them out/],
  ])("refuses %j in one line", async (args, message) => {
    const { code, stderr } = await printed(...args);
    expect({ code, lines: stderr.split("\n").length }).toEqual({ code: 2, lines: 2 });
    expect(stderr).toMatch(message);
  });
});

describe("show", () => {
  const out = everyState();

  it("says all of a run, by a beginning of its name", async () => {
    const { code, stdout } = await printed("show", "b-ada-s1", "--out", out);
    expect(code).toBe(0);
    for (const part of [
      "accuracy 9",
      "holds  module-table",
      "peak memory",
      "after step 40",
      "targetR: 8",
      "result.json",
    ])
      expect(stdout).toContain(part);
    // the map's last column of the second layer is the last module
    const ranks = readFileSync(
      join(
        out,
        "runs",
        readRuns(join(out, "runs")).find(({ name }) => name.startsWith("b-ada-s1"))!.folder,
        "ranks.csv",
      ),
      "utf8",
    );
    const last = ranks.trimEnd().split(/[\n,]/).at(-1);
    expect(stdout).toMatch(new RegExp(`\\n  1 .* ${last}\\n`));
    expect(JSON.parse((await printed("show", "b-ada-s1", "--out", out, "--json")).stdout)).toMatchObject({
      damage: null,
    });
  });

  it("says how the run was before its first step, where that was asked for", async () => {
    const store = temporary();
    const name = writeSyntheticRun(store, { config: "b-fp", seed: 1, layers: 1, steps: 8, digests: true });
    const folder = join(store, "runs", name);
    expect((await printed("show", "b-fp", "--out", store)).stdout).not.toContain("before the first step");
    const result = JSON.parse(readFileSync(join(folder, "result.json"), "utf8")) as object;
    const start = { step: 0, epoch: 0, loss: 3.25, perplexity: 25.7903, examples: 20 };
    writeFileSync(join(folder, "result.json"), JSON.stringify({ ...result, start }));
    writeDigests(folder);
    const { code, stdout } = await printed("show", "b-fp", "--out", store);
    expect(code).toBe(0);
    expect(stdout).toContain("  before the first step: loss 3.25, perplexity 25.7903\n");
  });

  it("checks what was written", async () => {
    const store = temporary();
    const name = writeSyntheticRun(store, { config: "b-fp", seed: 1, layers: 1, steps: 8, digests: true });
    writeFileSync(join(store, "runs", name, "metrics.csv"), "changed");
    const { code, stdout } = await printed("show", "b-fp", "--out", store);
    expect(code).toBe(2);
    expect(stdout).toContain("DAMAGED: ");
    expect(stdout).toContain("metrics.csv is not what was written");
  });

  it("shows those that are not finished", async () => {
    expect((await printed("show", "b-ada-s2", "--out", out)).stdout).toContain(`made by process ${process.pid}`);
    expect((await printed("show", "b-ada-s4", "--out", out)).stdout).toContain(
      "failed, step 7: the loss is not finite",
    );
  });

  it("refuses what is no run in one line", async () => {
    for (const [folder, why] of [
      ["link", "is a link"],
      ["something", "holds no result"],
    ] as const) {
      const { code, stdout, stderr } = await printed("show", folder, "--out", out);
      expect([code, stdout, stderr.split("\n").length]).toEqual([2, "", 2]);
      expect(stderr).toContain(why);
    }
  });

  it("prints names and texts without what moves a terminal's cursor", async () => {
    const store = temporary();
    const name = writeSyntheticRun(store, { config: "b-fp", seed: 1, layers: 1, at: { step: 3, state: "failed" } });
    writeFileSync(
      join(store, "runs", `.failed-${name}`, "error.json"),
      JSON.stringify({ name: "E", message: "red \u001b[31m and\nmore" }),
    );
    for (const command of [["ls"], ["show", "b-fp"]])
      expect((await printed(...command, "--out", store)).stdout).not.toContain("\u001b");
  });
});

describe("compare", () => {
  it("shows what differs, and who is right where", async () => {
    const out = temporary();
    const [a, b] = ["b-fp", "b-q4"].map((config) =>
      writeSyntheticRun(out, { config, seed: 1, layers: 1, steps: 8, items: 0 }),
    ) as [string, string];
    const predictions = (name: string, guesses: readonly number[]): void =>
      writeFileSync(
        join(out, "runs", name, "predictions.jsonl"),
        guesses.map((prediction, index) => `${JSON.stringify({ index, label: 1, prediction })}\n`).join(""),
      );
    predictions(a, [1, 1, 1, 1, 1, 1, 0, 0]);
    predictions(b, [1, 0, 0, 0, 0, 0, 0, 1]);
    const { stdout } = await printed("compare", a, b, "--out", out);
    expect(stdout).toMatch(/method\.storage +"f16" +"nf4"/);
    expect(stdout).not.toMatch(/^ *method\.r /m);
    expect(stdout).toMatch(/equal keys not shown/);
    expect(stdout).toContain("predictions: 6 of 8 differ (75.00 %)");
    // binomial(6, ½): 2 · (1 + 6) / 64
    expect(stdout).toContain(
      "both right 1, only the first 5, only the second 1, both wrong 1; McNemar's exact p 0.219",
    );
    expect((await printed("compare", a, b, "--out", out, "--all")).stdout).toMatch(/^ +method\.r +8 +8$/m);
    const json = JSON.parse((await printed("compare", a, b, "--out", out, "--json")).stdout);
    const loss = json.metrics.find(({ name }: { name: string }) => name === "loss");
    expect(loss.difference).toBe(loss.b - loss.a);
  });

  it("says where there are no predictions yet", async () => {
    const out = everyState();
    expect((await printed("compare", "b-fp-s1", "b-ada-s2", "--out", out)).stdout).toContain(
      "one of the runs has none yet",
    );
  });
});

describe("gc", () => {
  it("removes what no run needs, and nothing else", async () => {
    const out = everyState();
    const before = readRuns(join(out, "runs")).map(({ folder }) => folder);
    const dry = await printed("gc", "--out", out);
    expect(dry.stdout).toContain("nothing is removed; --yes removes it");
    expect(readRuns(join(out, "runs")).map(({ folder }) => folder)).toEqual(before);
    const { stdout } = await printed("gc", "--out", out, "--yes");
    expect(stdout).toContain("removed 3 of 3");
    const gone = (folder: string): boolean => /^\.(failed|set-aside|tmp)-/.test(folder);
    expect(readRuns(join(out, "runs")).map(({ folder }) => folder)).toEqual(before.filter((folder) => !gone(folder)));
    expect(existsSync(join(out, "runs", "notes.txt"))).toBe(true);
    expect(existsSync("/etc")).toBe(true);
    expect((await printed("gc", "--out", out)).stdout).toBe("nothing to remove\n");
  });

  it("removes runs that could go on where that is said, but none that somebody makes", async () => {
    const out = everyState();
    const found = JSON.parse((await printed("gc", "--out", out, "--interrupted", "--json")).stdout) as {
      why: string;
    }[];
    expect(found.map(({ why }) => why).sort()).toEqual([
      "failed",
      "interrupted",
      "left over, its process is gone",
      "set aside",
    ]);
    await printed("gc", "--out", out, "--interrupted", "--yes", "--json");
    expect(
      readRuns(join(out, "runs"))
        .map(({ state }) => state)
        .sort(),
    ).toEqual(["damaged", "damaged", "finished", "finished", "foreign", "foreign", "working"]);
  });

  it("takes work that its run does not need any more, and checkpoints that are not the run's", async () => {
    const out = temporary();
    const run = { config: "b-fp", seed: 1, layers: 1, steps: 8, digests: true } as const;
    const name = writeSyntheticRun(out, run);
    writeSyntheticRun(out, { ...run, at: { step: 3, state: "interrupted" } });
    mkdirSync(join(out, "runs", name, "checkpoints", "4"), { recursive: true });
    writeFileSync(join(out, "runs", name, "checkpoints", "4", "state"), "x".repeat(2048));
    const { stdout } = await printed("gc", "--out", out, "--yes");
    expect(stdout).toContain("left over, the run is finished");
    expect(stdout).toMatch(/checkpoints of a finished run +1 +2\.0 KiB/);
    // what is left is what was written
    expect((await printed("show", name, "--out", out)).code).toBe(0);
    expect(readRuns(join(out, "runs"))).toHaveLength(1);
  });
});

describe("speed", () => {
  const out = temporary();
  beforeAll(() => void writeSyntheticStore(out, { runs: 1000, steps: 40 }), 120_000);

  it("lists 1,000 runs in less than a second, Node's start included", () => {
    // as people have it: `npm test` builds first, and tsx alone takes half a second
    const built = fileURLToPath(new URL("../dist/cli.js", import.meta.url));
    const fromSource = ["--import", "tsx", "--conditions", "@lowrank/source"];
    const command = existsSync(built)
      ? [built]
      : [...fromSource, fileURLToPath(new URL("../src/cli.ts", import.meta.url))];
    // the processor's time, which other programs on the machine do not lengthen
    const clock = `data:text/javascript,${encodeURIComponent(
      'process.on("exit", () => { const { user, system } = process.cpuUsage(); process.stderr.write("used " + (user + system) / 1e6); });',
    )}`;
    const times = Array.from({ length: 3 }, () => {
      const started = performance.now();
      const { stdout, stderr, status } = spawnSync(
        process.execPath,
        ["--import", clock, ...command, "ls", "--out", out],
        { encoding: "utf8" },
      );
      expect(stdout).toContain("1000 runs: 1000 finished\n");
      expect(status).toBe(0);
      return Math.min((performance.now() - started) / 1000, Number(/used ([\d.]+)/.exec(stderr)![1]));
    });
    expect(Math.min(...times)).toBeLessThan(1);
  });

  it("starts without engine, models and methods", () => {
    const loaded = loadedBy(fileURLToPath(new URL("../src/cli.ts", import.meta.url)));
    loadedBy(fileURLToPath(new URL("../src/cli/ls-command.ts", import.meta.url)), loaded);
    const heavy = [...loaded].filter((file) =>
      /tensor\/src\/(?!check\/|errors|files\/absence)|\/(nn|models|peft|quant)\/src\//.test(file),
    );
    expect(heavy).toEqual([]);
    expect(loaded.size).toBeGreaterThan(20);
  });
});

/** Files that a module loads, without what is imported when it is used, and types. */
function loadedBy(file: string, seen: Set<string> = new Set()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  const statements = /^(?:import|export)\b(?!\s+type\b)(?:([^;"']*?)\bfrom\s*)?\s*["']([^"']+)["']/gm;
  for (const [, names, specifier] of readFileSync(file, "utf8").matchAll(statements)) {
    const parts = /^\s*\{([^]*)\}\s*$/
      .exec(names ?? "")?.[1]
      ?.split(",")
      .map((part) => part.trim());
    if (parts?.every((part) => part === "" || part.startsWith("type ")) === true) continue;
    const [, name, below] = /^@lowrank\/([a-z]+)(\/.*)?$/.exec(specifier!) ?? [];
    if (specifier!.startsWith(".")) loadedBy(resolve(dirname(file), specifier!), seen);
    else if (name !== undefined) {
      const root = fileURLToPath(new URL(`../../${name}/`, import.meta.url));
      const exported = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).exports;
      loadedBy(resolve(root, exported[`.${below ?? ""}`]["@lowrank/source"]), seen);
    }
  }
  return seen;
}
