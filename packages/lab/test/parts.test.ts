/** Studies of several tasks, and parts of a study: which runs there are, what they are called, and what is told of them. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadStudy, plannedRuns } from "../src/config/load.ts";
import { told, type Told } from "./told.ts";

const temporary = (): string => mkdtempSync(join(tmpdir(), "lowrank-parts-"));

const TWO = `
name: two
tasks:
  easy: { name: planted-rank, train: 32, dev: 16, length: 6, ranks: { query: 1 } }
  hard: { name: planted-rank, train: 32, dev: 16, length: 6, ranks: { query: 2 }, noise: 0.2 }
model: { hidden: 8, layers: 1, heads: 2, intermediate: 8, initializerRange: 0.3 }
seeds: [1, 2]
train: { epochs: 1, batchSize: 16 }
configs:
  head: { method: head }
  lora: { method: lora, r: 2, target: [query] }
`;

function studyFile(text = TWO): string {
  const path = join(temporary(), "study.yaml");
  writeFileSync(path, text);
  return path;
}

const run = (...args: string[]): Promise<Told> => told("run", ...args, "--device", "reference");

const stem = (name: string): string => name.replace(/-[0-9a-f]{8}$/, "");

describe("a study of several tasks", () => {
  it("has a run of every config with every task and seed, seed by seed", async () => {
    const runs = plannedRuns(await loadStudy(studyFile()));
    expect(runs.map(({ config, seed }) => `${seed} ${config.taskLabel} ${config.name}`)).toEqual(
      [1, 2].flatMap((seed) => ["easy", "hard"].flatMap((t) => ["head", "lora"].map((c) => `${seed} ${t} ${c}`))),
    );
  });

  it("tells each task by itself, and a part of it is the same runs", async () => {
    const [file, out] = [studyFile(), temporary()];
    expect((await run(file, "--out", out, "--configs", "lora", "--seeds", "1", "--quiet")).code).toBe(0);
    const part = readdirSync(join(out, "runs")).sort();
    expect(part.map(stem)).toEqual(["lora-easy-s1", "lora-hard-s1"]);
    expect((await run(file, "--out", out, "--tasks", "hard", "--quiet")).code).toBe(0);
    expect(readdirSync(join(out, "runs")).map(stem).sort()).toEqual(
      ["lora-easy-s1", "head-hard-s1", "head-hard-s2", "lora-hard-s1", "lora-hard-s2"].sort(),
    );
    const whole = await run(file, "--out", out);
    expect(whole.code).toBe(0);
    expect(whole.stderr).toContain(`lora · easy · seed 1: already done (${part[0]})`);
    const { results, summary, rankRecovery, answers } = JSON.parse(readFileSync(join(out, "results.json"), "utf8"));
    expect(results).toHaveLength(8);
    expect(
      summary.map((row: { task: string; config: string; seeds: number[] }) => [row.task, row.config, row.seeds]),
    ).toEqual([
      ["easy", "head", [1, 2]],
      ["easy", "lora", [1, 2]],
      ["hard", "head", [1, 2]],
      ["hard", "lora", [1, 2]],
    ]);
    expect(rankRecovery.map((row: { task: string; config: string }) => `${row.task} ${row.config}`)).toEqual([
      "easy lora",
      "hard lora",
    ]);
    expect(answers.map(({ question }: { question: string }) => question.split(":")[0])).toEqual(["easy", "hard"]);
    expect(readFileSync(join(out, "results.csv"), "utf8")).toMatch(/\ntwo,easy,head,head,1,/);
  });

  it("keeps what is done of the rest in its files, and says how many runs they hold", async () => {
    const [file, out] = [studyFile(), temporary()];
    const rows = (): string[] => readFileSync(join(out, "results.csv"), "utf8").trim().split("\n").slice(1);
    const held = (): string[] =>
      JSON.parse(readFileSync(join(out, "results.json"), "utf8")).results.map(({ name }: { name: string }) =>
        stem(name),
      );
    expect((await run(file, "--out", out, "--quiet", "--tasks", "easy")).code).toBe(0);
    expect((await run(file, "--out", out, "--quiet", "--tasks", "easy")).stdout).toContain(
      "results.json and results.csv hold 4 runs of the study: 4 of this part, 0 beside it",
    );
    const whole = ["head-easy-s1", "lora-easy-s1", "head-easy-s2", "lora-easy-s2"];
    expect(held()).toEqual(whole);
    const before = readFileSync(join(out, "results.json"), "utf8");
    const part = await run(file, "--out", out, "--configs", "lora", "--tasks", "easy", "--seeds", "1");
    expect([part.code, held()]).toEqual([0, whole]);
    expect(part.stdout).toContain("hold 4 runs of the study: 1 of this part, 3 beside it");
    expect(readFileSync(join(out, "results.json"), "utf8")).toBe(before);
    // seeds that the study does not have come beside its own
    const other = await run(file, "--out", out, "--configs", "head", "--tasks", "easy", "--seeds", "7", "--json");
    expect(held()).toEqual([...whole, "head-easy-s7"]);
    expect(JSON.parse(other.stdout)).toMatchObject({ inFiles: 5, results: [{ config: "head", seed: 7 }] });
    // a damaged one of the rest is left out, and does not fail the part
    const name = readdirSync(join(out, "runs")).find((one) => one.startsWith("head-easy-s2"))!;
    writeFileSync(join(out, "runs", name, "measures.json"), "{}");
    const left = await run(file, "--out", out, "--configs", "lora", "--tasks", "easy");
    expect([left.code, rows().length]).toEqual([0, 3]);
    expect(left.stderr).toContain(
      `left out of the study's files: ${join(out, "runs", name)}: measures.json is not what`,
    );
    expect(left.stderr.match(/left out/g)).toHaveLength(1);
  });

  it("fails a damaged run by name, and makes the others", async () => {
    const [file, out] = [studyFile(), temporary()];
    const part = ["--out", out, "--tasks", "easy", "--seeds", "1"];
    expect((await run(file, ...part, "--quiet")).code).toBe(0);
    const [head, lora] = readdirSync(join(out, "runs")).sort() as [string, string];
    const path = join(out, "runs", lora, "result.json");
    const written = readFileSync(path);
    for (const damage of [() => writeFileSync(path, "{}"), () => rmSync(path)]) {
      damage();
      rmSync(join(out, "runs", head), { recursive: true });
      const { code, stderr } = await run(file, ...part);
      expect(code).toBe(1);
      expect(stderr).toMatch(new RegExp(`lora · easy · seed 1: DAMAGED: ${path.slice(0, -12)}: result\\.json is `));
      // nothing of it is touched, and the other is there
      expect(readdirSync(join(out, "runs")).sort()).toEqual([head, lora]);
      const { results, failures } = JSON.parse(readFileSync(join(out, "results.json"), "utf8"));
      expect(results).toMatchObject([{ name: head }]);
      expect(failures).toMatchObject([{ name: lora, config: "lora", seed: 1 }]);
      // where it is all that is asked for, there is nothing to make
      const alone = await run(file, ...part, "--configs", "lora", "--quiet");
      expect([alone.code, alone.stderr.trim().split("\n").length]).toEqual([2, 1]);
      expect(alone.stderr).toContain("move the folder away or delete it, and the run is made again");
    }
    writeFileSync(path, written);
    expect((await run(file, ...part, "--quiet")).code).toBe(0);
  });

  it("of one task keeps its names", async () => {
    const out = temporary();
    const one = TWO.replace(/tasks:\n {2}easy: (.*)\n.*\n/, "task: $1\n");
    expect((await run(studyFile(one), "--out", out, "--seeds", "1", "--quiet")).code).toBe(0);
    expect(readdirSync(join(out, "runs")).map(stem).sort()).toEqual(["head-s1", "lora-s1"]);
  });
});

describe("refused in one line", () => {
  it.each([
    [["--configs", "lroa"], `--configs: the study has no config "lroa"; did you mean "lora"?`],
    [["--configs", "lora,lora"], `--configs: "lora" is given twice; one of them would be ignored`],
    [["--seeds", "13,13"], "--seeds: 13 is given twice; one of them would be ignored"],
    [["--configs", "lora,"], "--configs lora,: expected names, such as b-fp,b-ada"],
    [["--tasks", "eazy"], `--tasks: the study has no task "eazy"; did you mean "easy"?`],
    [["--set", "task={name: sst2}"], `"task" and "tasks" exclude one another`],
    [
      ["--set", "tasks.lm={name: masked-corpora, sources: [books]}"],
      "need models of different heads; make it two studies",
    ],
    [["--set", "tasks={}"], "at least one task is needed"],
    [["--set", "tasks.easy.lenght=3"], `unknown key "tasks.easy.lenght"; did you mean "length"?`],
  ])("%j", async (args, message) => {
    const { code, stderr } = await run(studyFile(), "--out", temporary(), ...args);
    expect(stderr).toContain(message);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(code).toBe(2);
  });

  it("a task by name where there is one without", async () => {
    const { code, stderr } = await run("planted", "--tasks", "easy", "--out", temporary());
    expect([code, stderr]).toEqual([
      2,
      "lowrank: --tasks: the study has one task, which has no name to choose it by; leave it out\n",
    ]);
    const none = await run(studyFile(TWO.replace(/tasks:\n.*\n.*\n/, "")), "--out", temporary());
    expect(none.stderr).toContain(`"task" is missing; one is needed, or several under "tasks"`);
  });
});
