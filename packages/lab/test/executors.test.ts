/** Who makes the runs: in which order, some at a time, by other processes, by array jobs. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { byNeeds } from "../src/executors/by-needs.ts";
import { levelsOf } from "../src/executors/slurm.ts";
import type { Job, Report } from "../src/records/executor.ts";

const temporary = (): string => mkdtempSync(join(tmpdir(), "lowrank-executors-"));
const job = (name: string, needs: readonly string[] = []): Job => ({ name, id: name, label: name, needs });
const MADE: Report = { kind: "made" };

/** Needs point to earlier jobs of the list, which is then shuffled. */
const graph = fc
  .array(fc.array(fc.nat(100), { maxLength: 3 }), { minLength: 1, maxLength: 12 })
  .map((needs) => needs.map((of, i) => job(`j${i}`, i === 0 ? [] : [...new Set(of.map((n) => `j${n % i}`))])))
  .chain((jobs) => fc.shuffledSubarray(jobs, { minLength: jobs.length }));

describe("jobs with needs", () => {
  test.prop([graph, fc.integer({ min: 1, max: 4 }), fc.infiniteStream(fc.constantFrom("made", "failed", "busy"))])(
    "are each made once, after what they need, and no more at a time than there are places",
    async (jobs, places, kinds) => {
      const ended: string[] = [];
      const running = new Set<number>();
      const made = byNeeds(
        jobs,
        places,
        async ({ name, needs }, place) => {
          expect(running.has(place)).toBe(false);
          running.add(place);
          expect(place).toBeLessThan(places);
          for (const need of needs) expect(ended).toContain(need);
          await Promise.resolve();
          running.delete(place);
          const kind = kinds.next().value;
          if (kind !== "busy") ended.push(name);
          return kind === "busy" ? { kind, by: "another" } : kind === "failed" ? { kind, message: "no" } : MADE;
        },
        () => Promise.resolve(),
      );
      const told: string[] = [];
      for await (const { job: of } of made) told.push(of.name);
      expect([...told].sort()).toEqual(jobs.map(({ name }) => name).sort());
      expect([...ended].sort()).toEqual([...told].sort());
    },
  );

  it("in the given order where one is made at a time, and needs of other lists are no needs", async () => {
    const seen: string[] = [];
    const made = byNeeds([job("a", ["elsewhere"]), job("b"), job("c", ["b"])], 1, async ({ name }) => {
      seen.push(name);
      return MADE;
    });
    for await (const _ of made);
    expect(seen).toEqual(["a", "b", "c"]);
  });

  it("that another process makes come after others", async () => {
    const asked: string[] = [];
    const made = byNeeds([job("a"), job("b"), job("c")], 1, async ({ name }) => {
      asked.push(name);
      return name === "a" && asked.filter((one) => one === name).length < 3 ? { kind: "busy", by: "process 7" } : MADE;
    });
    const told: string[] = [];
    for await (const { job: of } of made) told.push(of.name);
    expect([told, asked]).toEqual([
      ["b", "c", "a"],
      ["a", "b", "c", "a", "a"],
    ]);
  });

  it("stop where input is wrong for all, once what is under way has ended", async () => {
    const seen: string[] = [];
    const made = byNeeds([job("a"), job("b"), job("c")], 2, async ({ name }) => {
      seen.push(name);
      return name === "a" ? { kind: "refused", message: "wrong" } : MADE;
    });
    await expect(async () => {
      for await (const _ of made);
    }).rejects.toThrow(/^wrong$/);
    expect(seen).toEqual(["a", "b"]);
  });

  it("in a circle are an error and not a wait", async () => {
    await expect(byNeeds([job("a", ["b"]), job("b", ["a"])], 1, async () => MADE).next()).rejects.toThrow(
      "in a circle: a, b",
    );
  });

  test.prop([graph])("come level by level, each behind all that it needs", (jobs) => {
    const levels = levelsOf(jobs);
    const at = new Map(levels.flatMap((of, level) => of.map(({ name }) => [name, level])));
    expect(at.size).toBe(jobs.length);
    for (const { name, needs } of jobs) {
      const above = Math.max(-1, ...needs.map((need) => at.get(need)!));
      expect(at.get(name)).toBe(above + 1);
    }
  });
});

const STUDY = `
name: made
task: { name: planted-rank, train: 24, dev: 16, length: 6, ranks: { 0.attention.self.query: 4 } }
model: { hidden: 8, layers: 1, heads: 2, intermediate: 8, initializerRange: 0.3 }
seeds: [1]
train: { epochs: 1, batchSize: 6 }
configs:
  b-ada: { method: adalora, initR: 4, targetR: 1, target: [query, value], tinit: 1, tfinal: 1, deltaT: 1, train: { lr: 1e-1 } }
  far: { method: lora, r: 1, target: [query], train: { lr: 1e200, clip: null } }
  b-frozen: { method: lora, target: [query, value], from: { config: b-ada }, train: { lr: 1e-2 } }
  lost: { method: lora, target: [query], from: { config: far }, train: { lr: 1e-2 } }
`;

const cli = fileURLToPath(new URL("../src/cli.ts", import.meta.url));
const NODE = ["--import", "tsx", "--conditions", "@lowrank/source", cli];

function studyFile(): string {
  const path = join(temporary(), "study.yaml");
  writeFileSync(path, STUDY);
  return path;
}

function command(
  args: readonly string[],
  path = process.env["PATH"],
): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [...NODE, ...args], { encoding: "utf8", env: { ...process.env, PATH: path } });
}

const stem = (name: string): string => name.replace(/-[0-9a-f]{8}$/, "");

describe("the executor local", () => {
  it("makes runs in processes of their own: one that fails stops only those that need it", () => {
    const out = temporary();
    const { status, stderr, stdout } = command([
      "run",
      studyFile(),
      "--out",
      out,
      "--device",
      "reference",
      "--jobs",
      "2",
      "--json",
    ]);
    expect(status, stderr).toBe(1);
    const { results, failures } = JSON.parse(stdout);
    expect(results.map(({ config }: { config: string }) => config)).toEqual(["b-ada", "b-frozen"]);
    const [far, lost] = failures as { name: string; message: string; kept?: string }[];
    expect([far!.kept, existsSync(far!.kept!)]).toEqual([join(out, "runs", `.failed-${far!.name}`), true]);
    expect(lost).toMatchObject({ message: `not made: it needs ${far!.name}, which failed` });
    expect(stderr).toContain("b-frozen · seed 1: ranks of b-ada-s1-");
  });

  it("has its options and no others", () => {
    const said = (...args: string[]): string =>
      command(["run", studyFile(), "--out", temporary(), "--device", "reference", ...args]).stderr;
    expect(said("--jobs", "2", "--executor", "in-process")).toContain(
      "lowrank: --jobs: the executor in-process has no use for it; leave it out, or say --executor local",
    );
    expect(said("--redis", "redis://127.0.0.1:1")).toContain("leave it out, or say --executor bullmq");
  });
});

describe("the executor slurm", () => {
  /** An sbatch that runs each task of an array at once, and a squeue that says what a file says. */
  function fakeSlurm(): { path: string; log: string; queue: string } {
    const folder = temporary();
    const [log, queue] = [join(folder, "log"), join(folder, "queue")];
    const script = (name: string, text: string): void => {
      writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`);
      chmodSync(join(folder, name), 0o755);
    };
    script(
      "sbatch",
      `echo "$@" >> ${log}
for last; do :; done
n=$(sed -n 's/^#SBATCH --array=1-//p' "$last")
for i in $(seq "$n"); do SLURM_ARRAY_TASK_ID=$i SLURM_CPUS_PER_TASK=1 sh "$last" >> ${log}.runs 2>&1 || true; done
echo "10$(wc -l < ${log});cluster"`,
    );
    script("squeue", `cat ${queue} 2>/dev/null || true`);
    return { path: `${folder}${delimiter}${process.env["PATH"]}`, log, queue };
  }

  it("submits a level after the other, whose tasks make the runs; the same command tells what they came to", () => {
    const [out, file, { path, log, queue }] = [temporary(), studyFile(), fakeSlurm()];
    const args = ["run", file, "--out", out, "--device", "reference", "--executor", "slurm"];
    const first = command(args, path);
    expect(first.stderr).toContain(
      "4 runs are given to slurm, jobs 101, 102; the same command tells what they came to",
    );
    expect(first.status, first.stderr).toBe(0);
    expect(readFileSync(log, "utf8").trim().split("\n")).toEqual([
      `--parsable ${join(out, "slurm", "level-0.sh")}`,
      `--parsable --dependency=afterany:101 ${join(out, "slurm", "level-1.sh")}`,
    ]);
    expect(
      readdirSync(join(out, "runs"))
        .filter((name) => !name.startsWith("."))
        .map(stem)
        .sort(),
    ).toEqual(["b-ada-s1", "b-frozen-s1"]);
    expect(readFileSync(`${log}.runs`, "utf8")).toMatch(
      /lowrank: run lost-s1-\w+ failed: not made: it needs far-s1-\w+, which failed/,
    );
    writeFileSync(queue, "101_2 RUNNING\n");
    const early = command(args, path);
    expect([early.status, early.stderr]).toEqual([
      2,
      expect.stringContaining(
        "slurm has runs of this study still to make (jobs 101,102); wait for them, or: scancel 101 102",
      ),
    ]);
    const told = command([...args.slice(0, -2), "--configs", "b-ada,b-frozen", "--json"], path);
    expect(told.status, told.stderr).toBe(0);
    expect(JSON.parse(told.stdout).results).toHaveLength(2);
  }, 240_000);

  it("leaves its scripts where there is no sbatch", () => {
    const [out, bin] = [temporary(), temporary()];
    mkdirSync(bin, { recursive: true });
    const { status, stderr } = command(
      ["run", studyFile(), "--out", out, "--device", "reference", "--executor", "slurm", "--configs", "b-ada"],
      "/usr/bin:/bin",
    );
    expect(stderr).toContain(
      `1 run is given to ${join(out, "slurm", "submit.sh")}, which submits them where there is an sbatch`,
    );
    expect(status).toBe(0);
    expect(existsSync(join(out, "runs"))).toBe(false);
  });
});
