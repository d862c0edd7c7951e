/**
 * Must hold 2 of the lab: a study made by workers through a queue, while workers are killed, Redis is restarted and every job is submitted twice. All runs
 * come to an end, each is committed once, and they are what one process makes.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Queue } from "bullmq";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { main } from "../src/cli/main.ts";
import { connection, QUEUE } from "../src/executors/redis.ts";
import type { RunResult } from "../src/store/result.ts";
import { redisServer, TestRedis } from "./redis-server.ts";

const SEEDS = [1, 2, 3, 4, 5, 6];
const STUDY = `
name: queued
task: { name: planted-rank, train: 36, dev: 16, length: 6, ranks: { 0.attention.self.query: 4 } }
model: { hidden: 8, layers: 2, heads: 2, intermediate: 8, initializerRange: 0.3 }
seeds: [${SEEDS.join(", ")}]
train: { epochs: 1, batchSize: 6 }
configs:
  b-ada: { method: adalora, initR: 4, targetR: 1, target: [query, value], tinit: 1, tfinal: 1, deltaT: 1, train: { lr: 1e-1 } }
  lora: { method: lora, r: 1, target: [query, value], train: { lr: 1e-2 } }
  dora: { method: lora, dora: true, r: 1, target: [query, value], train: { lr: 1e-2 } }
  b-frozen: { method: lora, target: [query, value], from: { config: b-ada }, train: { lr: 1e-2 } }
`;

const cli = fileURLToPath(new URL("../src/cli.ts", import.meta.url));
const NODE = ["--import", "tsx", "--conditions", "@lowrank/source", cli];
const temporary = (): string => mkdtempSync(join(tmpdir(), "lowrank-queue-"));
const json = (path: string): Record<string, any> => JSON.parse(readFileSync(path, "utf8"));

async function until<T>(what: string, look: () => Promise<T | undefined> | T | undefined, seconds = 180): Promise<T> {
  for (const end = Date.now() + 1000 * seconds; Date.now() < end;) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`${what}: not within ${seconds} s`);
}

class TestWorker {
  said = "";
  readonly process: ChildProcess;
  readonly ended: Promise<number | null>;

  constructor(url: string) {
    // a group of its own, so that it can be killed with what it started
    this.process = spawn(process.execPath, [...NODE, "worker", "--redis", url, "--threads", "1", "--patience", "4"], {
      detached: true,
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.process.stderr!.on("data", (text: Buffer) => (this.said += text.toString()));
    this.ended = new Promise((done) => this.process.on("exit", (code) => done(code)));
  }
}

describe.skipIf(redisServer() === undefined)("a study through a queue (needs redis-server)", () => {
  let redis: TestRedis;
  const workers: TestWorker[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(async () => {
    for (const { process: worker } of workers)
      try {
        process.kill(-worker.pid!, "SIGKILL");
      } catch {
        // ended
      }
    await redis.stop();
  });

  it("is whole after two workers were killed, Redis restarted and every job submitted twice", async () => {
    const [out, file] = [temporary(), join(temporary(), "study.yaml")];
    writeFileSync(file, STUDY);
    let said = "";
    vi.spyOn(process.stderr, "write").mockImplementation((text) => {
      said += String(text);
      return true;
    });
    vi.spyOn(process.stdout, "write").mockImplementation(() => true);
    const queue = new Queue(QUEUE, { connection: connection(redis.url) });
    queue.on("error", () => {});
    try {
      const submit = (): Promise<number> =>
        main(["run", file, "--out", out, "--device", "reference", "--executor", "bullmq", "--redis", redis.url]);
      const submissions = [submit(), submit()];
      workers.push(...Array.from({ length: 3 }, () => new TestWorker(redis.url)));

      /** A job that this worker is in the middle of. */
      const busy = async (worker: TestWorker): Promise<string | undefined> => {
        const active = await queue.getActive();
        const job = active.find(({ processedBy }) => processedBy?.endsWith(`:${worker.process.pid}`) === true);
        if (job === undefined) return undefined;
        const begun = readdirSync(join(out, "runs")).some((name) => name.startsWith(".") && name.includes(job.name));
        return begun && !existsSync(join(out, "runs", job.name)) ? job.name : undefined;
      };
      const killed: string[] = [];
      for (const [i, worker] of workers.slice(0, 2).entries()) {
        killed.push(
          await until(`worker ${i} in a run`, () => (existsSync(join(out, "runs")) ? busy(worker) : undefined)),
        );
        // the first with its whole group, as a machine goes; the second alone, so that its process finds itself without a parent
        process.kill(i === 0 ? -worker.process.pid! : worker.process.pid!, "SIGKILL");
        await worker.ended;
        if (i === 0) {
          await redis.stop();
          await redis.start();
        }
      }
      expect(await Promise.all(submissions), said).toEqual([0, 0]);

      const { results, failures } = json(join(out, "results.json"));
      expect(failures).toEqual([]);
      const names = readdirSync(join(out, "runs")).filter((name) => !name.startsWith("."));
      expect(names).toHaveLength(24);
      expect(results.map(({ name }: RunResult) => name).sort()).toEqual(names.sort());
      expect(names).toEqual(expect.arrayContaining(killed));
      // none was lost, and none is left
      expect(await queue.getJobCounts("completed", "failed", "waiting", "active", "delayed")).toEqual({
        completed: 24,
        failed: 0,
        waiting: 0,
        active: 0,
        delayed: 0,
      });
      // what is made of a run that was begun twice is what is made of one that was not
      const alone = temporary();
      expect(
        await main([
          "run",
          file,
          "--out",
          alone,
          "--device",
          "reference",
          "--seeds",
          "1",
          "--configs",
          "b-frozen",
          "--quiet",
        ]),
      ).toBe(0);
      for (const run of json(join(alone, "results.json"))["results"] as RunResult[])
        expect(json(join(out, "runs", run.name, "result.json"))["predictions"], run.name).toEqual(run.predictions);

      const last = workers[2]!;
      last.process.kill("SIGTERM");
      expect(await last.ended).toBe(143);
      expect(last.said).toContain("taken over from a worker that is gone");
    } finally {
      await queue.close();
      vi.restoreAllMocks();
    }
  }, 600_000);
});

describe("a queue that is not there", () => {
  it.each([
    [["--redis", "redis://127.0.0.1:1"], "--redis redis://127.0.0.1:1: cannot be reached (ECONNREFUSED)"],
    [["--redis", "127.0.0.1"], "--redis 127.0.0.1: expected a URL such as redis://127.0.0.1:6379"],
    [[], "--redis is missing: the URL of a Redis or Valkey"],
  ])("is one line: %j", async (args, message) => {
    let said = "";
    const spy = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
      said += String(text);
      return true;
    });
    const code = await main([
      "run",
      "planted",
      "--out",
      temporary(),
      "--device",
      "reference",
      "--executor",
      "bullmq",
      "--quiet",
      ...args,
    ]);
    spy.mockRestore();
    expect(said.trim().split("\n")).toEqual([expect.stringContaining(message)]);
    expect(code).toBe(2);
  });
});
