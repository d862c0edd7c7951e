/** Lines of finished runs while processes are killed at any point, share a store, or make runs for another: nothing is lost, nothing is there twice. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { lineOfRun } from "../src/store/line-of-run.ts";
import { readFinished } from "../src/store/finished-run.ts";
import { writeResultLine, type FinishedLine } from "../src/store/result-line.ts";
import { readResultLines } from "../src/store/result-lines.ts";
import { lowrank } from "./command-process.ts";
import { redisServer, TestRedis } from "./redis-server.ts";
import { writeSyntheticRun } from "./synthetic-store.ts";

const temporary = (): string => mkdtempSync(join(tmpdir(), "lowrank-kill-"));
const root = fileURLToPath(new URL("../../../", import.meta.url));
const NODE = ["--import", "tsx", "--conditions", "@lowrank/source"];
/** Runs: 3 × 2 cells, and the two rates of the sweep, of which one diverges. */
const STUDY = `
name: killed
task: { name: planted-rank, train: 36, dev: 16, length: 6, ranks: { 0.attention.self.query: 4 } }
model: { hidden: 8, layers: 2, heads: 2, intermediate: 8, initializerRange: 0.3 }
seeds: [1, 2]
train: { epochs: 1, batchSize: 6 }
configs:
  b-ada: { method: adalora, initR: 4, targetR: 1, target: [query, value], tinit: 1, tfinal: 1, deltaT: 1, train: { lr: 1e-1 } }
  b-fp: { method: lora, r: 1, target: [query, value], rate: { sweep: { rates: [1e-2, 1e25], seed: 7, task: { dev: 12 } } } }
  b-frozen: { method: lora, target: [query, value], from: { config: b-ada }, rate: { from: b-fp } }
`;
const RUNS = 8;

const study = join(temporary(), "study.yaml");
writeFileSync(study, STUDY);
const args = (out: string, results: string, ...more: string[]): string[] =>
  ["run", study, "--out", out, "--results", results, "--device", "reference"].concat(more);
const textIn = (results: string): string =>
  existsSync(join(results, "killed.jsonl")) ? readFileSync(join(results, "killed.jsonl"), "utf8") : "";
const namesIn = (results: string): string[] =>
  readResultLines(results)
    .map(({ line }) => (line.outcome === "finished" ? line.result.name : line.run.name))
    .sort();
const finishedIn = (out: string): string[] =>
  existsSync(join(out, "runs")) ? readdirSync(join(out, "runs")).filter((name) => !name.startsWith(".")) : [];

describe("lines that a process adds", () => {
  it("are whole and there once, whenever it is killed, and another goes on", async () => {
    const [store, results] = [temporary(), temporary()];
    const lines = Array.from({ length: 40 }, (_, seed) => {
      const name = writeSyntheticRun(store, { config: "b-ada", seed, digests: true, items: 872, layers: 6 });
      const folder = join(store, "runs", name);
      return writeResultLine(lineOfRun(folder, readFinished(folder, name)!));
    });
    const given = join(store, "lines.json");
    writeFileSync(given, JSON.stringify(lines));
    const source = (file: string): string => JSON.stringify(join(root, "packages/lab/src/store", file));
    const script = join(root, "packages/lab/test", `.adder-${process.pid}.mts`);
    writeFileSync(
      script,
      `import { readFileSync } from "node:fs";
      import { addLines } from ${source("result-lines.ts")};
      import { readResultLine } from ${source("result-line.ts")};
      process.stdout.write("ready");
      for (const line of JSON.parse(readFileSync(${JSON.stringify(given)}, "utf8")))
        await addLines(${JSON.stringify(results)}, [readResultLine(line, "given")]);`,
    );
    try {
      const start = async () => {
        const child = spawn(process.execPath, [...NODE, script], { stdio: ["ignore", "pipe", "inherit"], cwd: root });
        const end = new Promise((done) => child.on("exit", (code, signal) => done(code ?? signal)));
        await new Promise((done) => child.stdout.once("data", done).once("close", done));
        return { child, end };
      };
      for (let killed = 0; killed < 6; killed++) {
        const before = namesIn(results);
        // two at a time, of which both are killed
        const adders = await Promise.all([start(), start()]);
        for (const { child } of adders) {
          await sleep(150 * Math.random());
          child.kill("SIGKILL");
        }
        await Promise.all(adders.map(({ end }) => end));
        expect(namesIn(results)).toEqual(expect.arrayContaining(before));
      }
      const last = await start();
      expect(await last.end).toBe(0);
      expect(readFileSync(join(results, "synthetic.jsonl"), "utf8").trimEnd().split("\n").sort()).toEqual(lines.sort());
    } finally {
      rmSync(script);
    }
  }, 300_000);
});

describe("a study whose lines are kept", () => {
  const [out, results] = [temporary(), join(temporary(), "results")];
  let whole: string[];

  beforeAll(async () => {
    // killed at any point, until it has come to its end: by itself the seventh time
    for (let i = 0; i < 6; i++) {
      const one = lowrank(...args(out, results));
      await Promise.race([one.end, sleep(2500 + 5000 * Math.random())]);
      one.child.kill("SIGKILL");
      await one.end;
      readResultLines(results);
    }
    const { code, said } = await lowrank(...args(out, results)).end;
    expect(code, said).toBe(0);
    whole = namesIn(results);
  }, 600_000);

  it("that was killed again and again has every run once, as its folder says", () => {
    expect(textIn(results).trimEnd().split("\n").length).toBe(RUNS);
    for (const { line } of readResultLines(results))
      if (line.outcome === "finished") {
        const folder = join(out, "runs", line.result.name);
        expect(lineOfRun(folder, readFinished(folder, line.result.name)!)).toEqual(line);
      }
    expect(whole.filter((name) => !name.includes("@1e+25"))).toEqual(finishedIn(out).sort());
  });

  it("makes nothing again when its store is gone", async () => {
    const [elsewhere, before] = [temporary(), textIn(results)];
    const { code, said } = await lowrank(...args(elsewhere, results)).end;
    expect(code, said).toBe(0);
    expect(existsSync(join(elsewhere, "runs"))).toBe(false);
    expect(textIn(results)).toBe(before);
  }, 120_000);

  it("is shared by two processes with one store, one of which is killed", async () => {
    const [shared, kept] = [temporary(), temporary()];
    const two = [lowrank(...args(shared, kept)), lowrank(...args(shared, kept))];
    while (textIn(kept) === "") await sleep(20);
    two[0]!.child.kill("SIGKILL");
    const { code, said } = await two[1]!.end;
    expect(code, said).toBe(0);
    expect(namesIn(kept)).toEqual(whole);
    const again = await lowrank(...args(shared, kept)).end;
    expect([again.code, again.said.match(/already done/g)?.length]).toEqual([0, RUNS - 1]);
  }, 300_000);

  it("takes ranks and rates from lines where other processes make its runs, and keeps theirs", async () => {
    const sources = temporary();
    const kept = readResultLines(results).filter(
      ({ line }) => line.outcome === "diverged" || line.result.config !== "b-frozen",
    );
    const text = kept.map(({ line }) => `${writeResultLine(line)}\n`).join("");
    for (const executor of [
      ["--jobs", "2"],
      ["--executor", "slurm"],
    ]) {
      const [store, folder] = [temporary(), join(sources, executor.at(-1)!)];
      spawnSync("mkdir", ["-p", folder]);
      writeFileSync(join(folder, "killed.jsonl"), text);
      const { code, said } = await lowrank(...args(store, folder, ...executor)).end;
      expect(code, said).toBe(0);
      if (executor.includes("slurm")) {
        expect(namesIn(folder).length).toBe(RUNS - 2);
        for (const task of ["1", "2"])
          spawnSync("sh", [join(store, "slurm", "level-0.sh")], { env: { ...process.env, SLURM_ARRAY_TASK_ID: task } });
      }
      expect(namesIn(folder)).toEqual(whole);
      expect(finishedIn(store).length).toBe(2);
    }
  }, 300_000);

  it.skipIf(redisServer() === undefined)(
    "and where a worker of a queue makes them in a store of its own (needs redis-server)",
    async () => {
      const redis = await TestRedis.start();
      const [store, foreign, folder] = [temporary(), temporary(), temporary()];
      const kept = readResultLines(results).filter(
        ({ line }) => line.outcome === "diverged" || (line as FinishedLine).result.config !== "b-frozen",
      );
      writeFileSync(join(folder, "killed.jsonl"), kept.map(({ line }) => `${writeResultLine(line)}\n`).join(""));
      const worker = lowrank("worker", "--redis", redis.url, "--out", foreign, "--threads", "1");
      try {
        const queue = ["--executor", "bullmq", "--redis", redis.url];
        const { code, said } = await lowrank(...args(store, folder, ...queue)).end;
        expect(code, said).toBe(0);
        expect(namesIn(folder)).toEqual(whole);
        expect([finishedIn(store), finishedIn(foreign).length]).toEqual([[], 2]);
      } finally {
        worker.child.kill("SIGTERM");
        await worker.end;
        await redis.stop();
      }
    },
    300_000,
  );
});
