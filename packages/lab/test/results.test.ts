/** `lowrank run --results`: runs whose lines are kept are done, without their folders, for whoever makes the others. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { writeResultLine, type FinishedLine } from "../src/store/result-line.ts";
import { addLines, readResultLines } from "../src/store/result-lines.ts";
import { told, type Told } from "./told.ts";

const temporary = (): string => mkdtempSync(join(tmpdir(), "lowrank-results-"));

const TASK = "{ name: planted-rank, train: 36, dev: 16, length: 6, ranks: { 0.attention.self.query: 4 } }";
/** Ranks of one run for another, and a rate that is the best of two, of which one diverges. */
const STUDY = `
name: kept
task: ${TASK}
model: { hidden: 8, layers: 2, heads: 2, intermediate: 8, initializerRange: 0.3 }
seeds: [1]
train: { epochs: 1, batchSize: 6 }
configs:
  b-ada: { method: adalora, initR: 4, targetR: 1, target: [query, value], tinit: 1, tfinal: 1, deltaT: 1, train: { lr: 1e-1 } }
  b-frozen: { method: lora, target: [query, value], from: { config: b-ada }, train: { lr: 1e-2 } }
  lora: { method: lora, r: 1, target: [query, value], rate: { sweep: { rates: [1e-2, 1e25], seed: 7, task: { dev: 12 } } } }
`;
const CELLS = 3;
const RATES = 2;

function studyFile(text = STUDY): string {
  const path = join(temporary(), "study.yaml");
  writeFileSync(path, text);
  return path;
}

const run = (...args: string[]): Promise<Told> => told("run", ...args, "--device", "reference");

const namesIn = (...path: string[]): string[] => (existsSync(join(...path)) ? readdirSync(join(...path)).sort() : []);
const finishedIn = (out: string): string[] => namesIn(out, "runs").filter((name) => !name.startsWith("."));
const csv = (out: string): string => readFileSync(join(out, "results.csv"), "utf8");

describe("results that are kept", () => {
  const study = studyFile();
  const [first, results] = [join(temporary(), "a"), join(temporary(), "results")];
  const outcome = run(study, "--out", first, "--results", results);

  it("are a line of every run that came to an end, those that tried rates included", async () => {
    const { code, stderr, stdout } = await outcome;
    expect([code, stderr]).toEqual([0, expect.stringContaining("FAILED")]);
    expect(stdout).toContain(`lines: ${results}`);
    const lines = readResultLines(results);
    expect(lines.map(({ line }) => line.outcome).filter((of) => of === "diverged").length).toBe(1);
    expect(lines.length).toBe(CELLS + RATES);
    expect(finishedIn(first).length).toBe(CELLS + RATES - 1);
    expect(namesIn(results)).toEqual(["kept.jsonl"]);
    for (const { line } of lines) expect(JSON.stringify(line.resolved)).not.toContain(tmpdir());
  });

  it("are done where their folders are gone: nothing is made again, and the tables are the same", async () => {
    await outcome;
    const before = readFileSync(join(results, "kept.jsonl"), "utf8");
    const second = join(temporary(), "b");
    const { code, stderr } = await run(study, "--out", second, "--results", results);
    expect(code).toBe(0);
    expect(stderr.match(/already done/g)?.length).toBe(CELLS + RATES - 1);
    expect(stderr).toMatch(/diverged before, and is not made again: .*kept\.jsonl:\d+/);
    expect(namesIn(second, "runs")).toEqual([]);
    expect(csv(second)).toBe(csv(first));
    const told = (out: string): unknown => JSON.parse(readFileSync(join(out, "results.json"), "utf8"));
    expect(told(second)).toEqual(told(first));
    expect(readFileSync(join(results, "kept.jsonl"), "utf8")).toBe(before);
  });

  it("give ranks and rates to the runs that are missing, whose results are the same to the bit", async () => {
    await outcome;
    const part = join(temporary(), "results");
    const sources = readResultLines(results).filter(
      ({ line }) => line.outcome === "diverged" || !/^(b-frozen|lora)$/.test(line.result.config),
    );
    await addLines(
      part,
      sources.map(({ line }) => line),
    );
    const third = join(temporary(), "c");
    expect((await run(study, "--out", third, "--results", part)).code).toBe(0);
    expect(finishedIn(third)).toEqual(finishedIn(first).filter((name) => /^(b-frozen|lora)-s/.test(name)));
    for (const name of finishedIn(third))
      for (const file of ["result.json", "predictions.jsonl"])
        expect(readFileSync(join(third, "runs", name, file), "utf8")).toBe(
          readFileSync(join(first, "runs", name, file), "utf8"),
        );
    expect(readResultLines(part).length).toBe(CELLS + RATES);
  });

  it("are made of a store that was filled without them, and of the whole study where a part is asked for", async () => {
    await outcome;
    const late = join(temporary(), "results");
    // what diverged left no result: it is made again, and kept then
    const { code, stderr } = await run(study, "--out", first, "--results", late, "--configs", "b-ada");
    expect([code, stderr.match(/already done/g)?.length]).toEqual([0, 1]);
    const names = readResultLines(late).map(({ line }) => (line as FinishedLine).result.name);
    expect(names.sort()).toEqual(finishedIn(first));
  });

  it("of other code are not taken, and that is said with what would take them; with --reuse they are", async () => {
    await outcome;
    const other = join(temporary(), "results");
    mkdirSync(other);
    const lines = readResultLines(results).map(({ line }) => ({ ...line, code: "f".repeat(64), commit: "c0ffee" }));
    // another code is another id
    const renamed = lines.map((line) =>
      line.outcome === "diverged" ? line : { ...line, result: { ...line.result, name: `${line.result.name}f` } },
    );
    writeFileSync(join(other, "kept.jsonl"), renamed.map((line) => `${writeResultLine(line)}\n`).join(""));
    const dry = await run(study, "--out", join(temporary(), "d"), "--results", other, "--dry-run");
    expect(dry.stderr).toContain(
      `${other}: 5 lines are by other code than this and not taken: 5 by ffffffff, which is git checkout c0ffee`,
    );
    expect(dry.stdout).toContain("0/1");
    const reused = await run(study, "--out", join(temporary(), "d"), "--results", other, "--reuse", "--dry-run");
    expect(reused.stderr).toContain("and counted where this study has the run");
    expect(reused.stdout).toContain("1/1");
  });

  it("that are damaged end the command before anything is made, by file and line", async () => {
    await outcome;
    const broken = temporary();
    const text = readFileSync(join(results, "kept.jsonl"), "utf8");
    writeFileSync(join(broken, "kept.jsonl"), text.replace('"holds"', '"holdz"'));
    const { code, stderr } = await run(study, "--out", join(broken, "out"), "--results", broken);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/kept\.jsonl:1: is not what was written[^\n]+\n$/)]);
    expect(existsSync(join(broken, "out"))).toBe(false);
    const file = await run(study, "--out", join(broken, "out"), "--results", join(broken, "kept.jsonl"));
    expect([file.code, file.stderr]).toEqual([2, expect.stringContaining("is a file")]);
  });

  it("that cannot be written are told, the runs made, and the lines added next time", async () => {
    await outcome;
    const late = join(temporary(), "results");
    mkdirSync(late);
    mkdirSync(join(late, "kept.jsonl"));
    const store = join(temporary(), "e");
    const one = ["--configs", "b-ada", "--seeds", "1", "--out", store, "--results", late];
    const { code, stderr } = await run(study, ...one);
    expect([code, stderr]).toEqual([2, expect.stringContaining("the same command adds them")]);
    expect(finishedIn(store).length).toBe(1);
    renameSync(join(late, "kept.jsonl"), join(late, "aside"));
    expect((await run(study, ...one)).code).toBe(0);
    expect(readResultLines(late).length).toBe(1);
    expect(finishedIn(store).length).toBe(1);
    rmSync(late, { recursive: true });
  });
});

describe("several studies", () => {
  const one = (name: string, seed: number): string =>
    studyFile(STUDY.replace("name: kept", `name: ${name}`).replace(/seeds: .*/, `seeds: [${seed}]`));

  it("are run by one command, each in its folder, and kept together", async () => {
    const [out, results] = [temporary(), temporary()];
    const both = [one("first", 1), one("second", 2), "--out", out, "--results", results, "--configs", "b-ada"];
    const { code, stdout } = await run(...both, "--json");
    expect(code).toBe(0);
    expect((JSON.parse(stdout) as { study: string }[]).map((of) => of.study)).toEqual(["first", "second"]);
    expect(namesIn(out)).toEqual(["first", "second"]);
    expect(namesIn(results).filter((file) => file.endsWith(".jsonl"))).toEqual(["first.jsonl", "second.jsonl"]);
    const again = await run(...both);
    expect([again.code, again.stderr.match(/already done/g)?.length]).toEqual([0, 2]);
    // a run of two studies is one run
    const third = await run(one("third", 2), "--out", join(out, "third"), "--results", results, "--configs", "b-ada");
    expect(third.stderr).toContain("by its line");
  });

  it("are all looked at before the first run, and have names of their own", async () => {
    const out = temporary();
    const wrong = studyFile(STUDY.replace("name: kept", "name: wrong").replace("[query, value]", "[qwery]"));
    const { code, stderr } = await run(one("first", 1), wrong, "--out", out, "--configs", "b-ada");
    expect([code, stderr]).toEqual([2, expect.stringContaining("qwery")]);
    expect(namesIn(out)).toEqual([]);
    const same = await run(one("first", 1), one("first", 2), "--out", out);
    expect([same.code, same.stderr]).toEqual([2, expect.stringMatching(/its "name" is "first", as that of /)]);
  });
});
