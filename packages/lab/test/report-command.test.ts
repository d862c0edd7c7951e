/** `lowrank report`: files of a store and of result lines, and what it refuses. */
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { foundRuns } from "../src/report/sources/found.ts";
import { readFinished } from "../src/store/finished-run.ts";
import { lineOfRun } from "../src/store/line-of-run.ts";
import { addLines } from "../src/store/result-lines.ts";
import { printed } from "./printed.ts";
import { writeSyntheticRun } from "./synthetic-store.ts";

const folder = mkdtempSync(join(tmpdir(), "lowrank-report-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const STUDY = `# yaml-language-server: $schema=study.schema.json
# Does adapting ranks pay,
# and do four bits cost anything?
#   lowrank run synthetic.yaml --out runs
name: synthetic
task: { name: sst2, maxLength: 64 }
seeds: [0, 1, 2]
train: { batchSize: 32, lr: 5e-4 }
configs:
  b-q4: { method: lora, r: 8, alpha: 16, target: [query, key, value, dense], storage: nf4 }
  b-fp: { method: lora, r: 8, alpha: 16, target: [query, key, value, dense], storage: f16 }
  b-ada: { method: adalora, alpha: 16, target: [query, key, value, dense], storage: f16 }
claims:
  fixed: { says: fixed rank beats adaptive, greater: [b-fp, b-ada] }
  bits: { says: 4-bit costs nothing, equal: [b-q4, b-fp] }
`;

function store(name: string): string {
  const out = join(folder, name);
  for (const seed of [0, 1, 2])
    for (const config of ["b-fp", "b-q4", "b-ada"])
      writeSyntheticRun(out, { config, seed, steps: 40, layers: 2, digests: true });
  return out;
}

describe("lowrank report", () => {
  const runs = store("store");
  const study = join(folder, "synthetic.yaml");
  writeFileSync(study, STUDY);
  const out = join(folder, "report");

  it("writes the page, Markdown with its figures, and tables", async () => {
    writeSyntheticRun(runs, {
      config: "b-fp",
      seed: 9,
      steps: 40,
      layers: 2,
      at: { step: 20, state: "interrupted" },
    });
    const { code, stdout, stderr } = await printed("report", runs, study, "--out", out);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(
      /^Left out, since it is interrupted: b-fp-s9-[0-9a-f]{8}\.\n.*: fixed rank beats adaptive\n/,
    );
    expect(stdout.trimEnd().split("\n").at(-1)).toBe(
      `report: ${join(out, "report.html")} (and report.md, claims.csv, runs.csv, figures/)`,
    );
    const page = readFileSync(join(out, "report.html"), "utf8");
    expect(page).toContain('<p class="lead">Does adapting ranks pay, and do four bits cost anything?</p>');
    // as the study's file has them
    expect(page.indexOf("<dt>b-q4</dt>")).toBeLessThan(page.indexOf("<dt>b-fp</dt>"));
    const words = readFileSync(join(out, "report.md"), "utf8");
    const figures = [...words.matchAll(/!\[[^\]]+\]\(([^)]+)\)/g)].map(([, file]) => file!);
    expect(figures.length).toBeGreaterThan(4);
    for (const file of figures) expect(readFileSync(join(out, file), "utf8")).toMatch(/^<svg /);
    expect(readFileSync(join(out, "runs.csv"), "utf8").trimEnd().split("\n")).toHaveLength(10);
    expect(readFileSync(join(out, "claims.csv"), "utf8").trimEnd().split("\n")).toHaveLength(3);
  });

  it("says the same of result lines, and each run once where both are there", async () => {
    const lines = join(folder, "lines");
    const { runs: found } = foundRuns(runs);
    await addLines(
      lines,
      found.map(({ name }) => {
        const path = join(runs, "runs", name);
        return lineOfRun(path, readFinished(path, name)!);
      }),
    );
    const both = join(folder, "both");
    mkdirSync(both);
    writeFileSync(join(both, "synthetic.jsonl"), readFileSync(join(lines, "synthetic.jsonl")));
    store("both");
    const csv: string[] = [];
    for (const from of [runs, lines, both]) {
      const to = join(folder, "again");
      expect((await printed("report", from, study, "--out", to)).code).toBe(0);
      csv.push(readFileSync(join(to, "claims.csv"), "utf8") + readFileSync(join(to, "runs.csv"), "utf8"));
    }
    for (const name of ["stale", "own"]) writeFileSync(join(folder, "again", "figures", `${name}.svg`), "of another");
    appendFileSync(join(folder, "again", "report.md"), "![another study](figures/stale.svg)\n");
    expect((await printed("report", runs, study, "--out", join(folder, "again"))).code).toBe(0);
    expect(existsSync(join(folder, "again", "figures", "stale.svg"))).toBe(false);
    // a person's
    expect(existsSync(join(folder, "again", "figures", "own.svg"))).toBe(true);
    expect(csv[0]).toMatch(/,code\n/);
    expect(csv[1]).toBe(csv[0]);
    expect(csv[2]).toBe(csv[0]);
    expect(foundRuns(lines).runs.map((run) => [run.name, run.judged()])).toEqual(
      foundRuns(lines).runs.map(({ name }) => [name, found.find((run) => run.name === name)!.judged()]),
    );
  });

  it("refuses what is not what was written, folders without runs, and files of another study", async () => {
    const refused = async (...words: string[]): Promise<string> => {
      const { code, stderr } = await printed("report", ...words, "--out", join(folder, "never"));
      expect(code).toBe(2);
      expect(stderr.split("\n")).toHaveLength(2);
      return stderr;
    };
    const edited = store("edited");
    const [run] = foundRuns(edited).runs;
    appendFileSync(join(edited, "runs", run!.name, "predictions.jsonl"), "{}\n");
    expect(await refused(edited)).toMatch(/predictions.jsonl/);
    expect(await refused(folder, study)).toMatch(
      /there is no finished run|is there twice|holds no finished run|predictions/,
    );
    mkdirSync(join(folder, "empty"));
    expect(await refused(join(folder, "empty"))).toMatch(/holds no finished run; give the folder/);
    expect(await refused(runs, "demo")).toMatch(
      /preset demo: there are no runs of the study "demo"; those found are of synthetic/,
    );
    writeFileSync(join(folder, "measured.json"), '{"format": 1, "what": "x"}');
    expect(await refused(runs, study, "--measured", join(folder, "measured.json"))).toMatch(
      /measured.json: "host" is missing/,
    );
    expect(existsSync(join(folder, "never"))).toBe(false);
    const taken = join(folder, "taken");
    mkdirSync(taken);
    writeFileSync(join(taken, "report.md"), "mine");
    const [paged, figured] = [join(folder, "paged"), join(folder, "figured")];
    mkdirSync(join(paged, "report.html"), { recursive: true });
    mkdirSync(figured);
    writeFileSync(join(figured, "figures"), "mine");
    expect(await refused(runs, study, "--measured", "")).toMatch(/^lowrank: --measured: is empty; give a file/);
    for (const [to, why] of [
      [study, /--out: .* is a file; give a folder/],
      [taken, /--out: .* has a report.md that no report wrote/],
      [paged, /^lowrank: --out: .*paged\/report\.html is no file, and the report writes one there; [^\n]+\n$/],
      [figured, /^lowrank: --out: .*figured\/figures is a file, and the report has a folder there; [^\n]+\n$/],
    ] as const) {
      const { code, stderr } = await printed("report", runs, study, "--out", to);
      expect([code, stderr]).toEqual([2, expect.stringMatching(why)]);
    }
    expect(readFileSync(join(taken, "report.md"), "utf8")).toBe("mine");
  });
});
