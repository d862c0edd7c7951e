/** What a report says of runs: numbers of the statistics' fixtures, refusals where n is too small, tables that mix nothing. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { studyOf } from "../src/config/load.ts";
import { isMeasured, type DecidedMetricClaim } from "../src/report/model/claims.ts";
import { svg } from "../src/report/figures/drawing.ts";
import { figureStyle } from "../src/report/figures/style.ts";
import { figuresOf } from "../src/report/document.ts";
import { reportOf, type Report } from "../src/report/model/report.ts";
import type { ReportRun } from "../src/report/run.ts";
import type { StudyFile } from "../src/report/study-file.ts";
import { html } from "../src/report/views/html.ts";
import { markdown } from "../src/report/views/markdown.ts";
import { claimsCsv } from "../src/report/views/csv.ts";
import { documentOf } from "../src/report/write/document.ts";
import type { Measured } from "../src/store/measured.ts";
import { pairedRuns, reportRun } from "./report-runs.ts";

const CONFIGS = {
  a: { method: "lora", target: ["query"], r: 4, storage: "f16" },
  b: { method: "lora", target: ["key"], r: 4, storage: "f16" },
};
/** As `reportRun` has it. */
const TRAIN = { epochs: 1, weightDecay: 0, warmup: 0, evalEvery: "end", lr: 1e-3 };

async function studyFile(claims: object, configs: object = CONFIGS): Promise<StudyFile> {
  const raw = {
    name: "small",
    task: { name: "sst2" },
    base: "x",
    seeds: [1, 2, 3, 4, 5],
    train: TRAIN,
    configs,
    claims,
  };
  return { study: await studyOf(raw, "study.yaml"), source: "study.yaml", about: "Do a and b differ?" };
}

function report(
  runs: readonly ReportRun[],
  files: readonly StudyFile[] = [],
  measured: readonly Measured[] = [],
): Report {
  return reportOf({ runs, diverged: [], notes: [] }, files, measured);
}

function page(of: Report): string {
  return html(documentOf(of, "lowrank report runs --out report"));
}

/** Of the first claim, its first part. */
function firstClaim(of: Report): DecidedMetricClaim {
  const part = of.studies[0]!.sayings[0]!.parts[0]!;
  if (isMeasured(part)) throw new Error("measured");
  return part;
}

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "statistics",
);

describe.runIf(existsSync(folder))("a report of five seeds, scipy", () => {
  type Maybe<T> = T | "undefined";
  interface Case {
    readonly name: string;
    readonly x: number[];
    readonly y: number[];
    readonly expected: {
      readonly mean_diff: number;
      readonly sd_diff: Maybe<number>;
      readonly p_two_sided: Maybe<number>;
      readonly ci95: Maybe<[number, number]>;
      readonly d_z: Maybe<number>;
      readonly hedges_g_z: Maybe<number>;
      readonly sign_flip: { readonly two_sided: number; readonly smallest_possible_two_sided: number };
      readonly wilcoxon: { readonly exact_permutation?: { readonly two_sided: number } };
    };
  }
  const { cases } = JSON.parse(readFileSync(join(folder, "paired.json"), "utf8")) as { cases: Case[] };
  const close = (got: number | undefined, wanted: number): void =>
    expect(Math.abs(got! - wanted), `${got} for ${wanted}`).toBeLessThanOrEqual(1e-9 * Math.abs(wanted) + 1e-14);

  it("has the numbers of every fixture of at least three pairs, and none of these for fewer", async () => {
    const file = await studyFile({ c: { says: "a beats b", greater: ["a", "b"] } });
    const told = cases.filter(({ x, expected }) => x.length >= 3 && Number(expected.p_two_sided) > 0);
    expect(told.some(({ x }) => x.length === 5)).toBe(true);
    for (const { x, y, expected } of told) {
      const { facts } = firstClaim(report(pairedRuns("a", x, "b", y), [file]));
      close(facts!.mean, expected.mean_diff);
      close(facts!.sd, expected.sd_diff as number);
      close(facts!.p, expected.p_two_sided as number);
      expect(facts!.adjusted).toBe(facts!.p);
      (expected.ci95 as [number, number]).forEach((end, i) => close(facts!.interval95![i], end));
      close(facts!.effect!.dz, expected.d_z as number);
      if (expected.hedges_g_z !== "undefined") close(facts!.effect!.gz, expected.hedges_g_z);
      if (x.length <= 20) close(facts!.beside.signFlip, expected.sign_flip.two_sided);
    }
    for (const { x, y } of cases.filter((one) => one.x.length < 3)) {
      const { facts } = firstClaim(report(pairedRuns("a", x, "b", y), [file]));
      expect([facts!.p, facts!.adjusted, facts!.interval95, facts!.beside.wilcoxon]).toEqual(Array(4).fill(undefined));
    }
  });
});

describe("the style of a drawing", () => {
  it("has the rules that its elements meet, for those of their elements that are there, and no others", () => {
    const curve = figureStyle('<path class="line c0"/><text class="mark">1</text>');
    expect(curve).toContain(".line{fill:none;stroke-width:20;stroke-linejoin:round}");
    expect(curve).toContain("svg{font:12px system-ui,sans-serif;fill:#1b1f24}");
    expect(curve).not.toMatch(/shade|\.on-|\.whisker|\.fill|\{\}/);
    expect(figureStyle("")).not.toMatch(/\.(?!paper\{)[a-z]/);
  });

  it("has the light scheme's colours in all its rules, and the dark one's for who asks for it", () => {
    for (const [body, selector, light, dark] of [
      ['<path class="line c0"/>', "\\.line\\.c0\\{stroke", "#0072b2", "#56b4e9"],
      ['<path class="shade-7"/>', "\\.shade-7\\{stroke", "#185491", "#98c6ec"],
      ['<g class="on-deep"><text>7</text></g>', "\\.on-deep\\{fill", "#ffffff", "#14171c"],
    ] as const) {
      const [usual, asked, ...more] = figureStyle(body).split("@media (prefers-color-scheme:dark)");
      expect(more).toEqual([]);
      expect(usual).toMatch(new RegExp(`${selector}:${light}[;}]`));
      expect(asked).toMatch(new RegExp(`${selector}:${dark}[;}]`));
      // nothing but colours is said twice, and none is a name that few programs know
      expect(asked).toMatch(/^\{([^{}]+\{((fill|stroke):#[0-9a-f]{6}[;}])+)+\}$/);
      expect(usual + asked!).not.toContain("--");
    }
  });
});

describe("a report", () => {
  const X = [0.855, 0.861, 0.849, 0.858, 0.852];
  const Y = [0.841, 0.839, 0.83, 0.846, 0.831];

  it("of two seeds refuses p-values, and says why", async () => {
    const file = await studyFile({ c: { says: "a beats b", greater: ["a", "b"] } });
    const of = report(pairedRuns("a", X.slice(0, 2), "b", Y.slice(0, 2)), [file]);
    expect(firstClaim(of).verdict).toBe("not decidable");
    const text = page(of);
    expect(text).toContain("2 seeds say nothing about chance: no p-value and no interval is given below n = 3");
    expect(text).not.toMatch(/p (=|<) ?\d/);
    expect(claimsCsv(of).split("\n")[1]).toMatch(/^small,.*,not decidable,2,[\d.]+,[\d.]+,,,,,,,,,,,,,?/);
  });

  it("of five says the verdict with n, difference, interval and p, in plain words first", async () => {
    const file = await studyFile({ c: { says: "a beats b", greater: ["a", "b"] } });
    const of = report(pairedRuns("a", X, "b", Y), [file]);
    expect(of.studies[0]!.sayings[0]!.verdict).toBe("supported");
    const text = page(of).replaceAll("\u00a0", " ");
    const first = text.slice(0, text.indexOf("The numbers"));
    expect(first).toContain("Do a and b differ?");
    expect(first).toContain("Supported");
    expect(first).toMatch(
      /a minus b is \+1\.76 points of accuracy over 5 seeds \(95 % interval \+1\.21 to \+2\.31 points, p &lt; 0\.001\)/,
    );
    // and what the names stand for, beside it
    expect(first).toContain("a: LoRA, ranks 2 to 6, 16-bit base. b: LoRA, ranks 2 to 6, 16-bit base.");
    const { adjusted, interval95 } = firstClaim(of).facts!;
    // t = 0.0176 / (0.004393 / √5) = 8.958, four degrees of freedom
    expect(adjusted!).toBeCloseTo(0.00086, 5);
    expect(interval95!.map((end) => (100 * end).toFixed(2))).toEqual(["1.21", "2.31"]);
  });

  it("says of each part how it fares where parts of a claim fare differently", async () => {
    const file = await studyFile({
      c: { says: "a beats b", greater: ["a", "b"] },
      d: { says: "a beats b", less: ["a", "b"] },
    });
    const text = markdown(documentOf(report(pairedRuns("a", X, "b", Y), [file]), ""), String);
    expect(text).toMatch(/Supported: a minus b is .* Contradicted: a minus b is /);
    const one = await studyFile({ c: { says: "a beats b", greater: ["a", "b"] } });
    expect(markdown(documentOf(report(pairedRuns("a", X, "b", Y), [one]), ""), String)).not.toContain(
      "Supported: a minus",
    );
  });

  it("corrects over the family of the study, equalities left out", async () => {
    const configs = { ...CONFIGS, c: { method: "lora", target: ["query"], r: 2, storage: "f16" } };
    const file = await studyFile(
      {
        one: { says: "a beats b", greater: ["a", "b"] },
        two: { says: "a beats c", greater: ["a", "c"] },
        same: { says: "b is c", equal: ["b", "c"] },
      },
      configs,
    );
    const runs = [
      ...pairedRuns("a", X, "b", Y),
      ...Y.map((y, i) => reportRun({ config: "c", seed: i + 1, accuracy: y + 0.001 * i, method: { r: 2 } })),
    ];
    const parts = report(runs, [file]).studies[0]!.sayings.map(
      ({ parts: [part] }) => (part as DecidedMetricClaim).facts!,
    );
    const [least, most] = [parts[0]!, parts[1]!].sort((p, q) => p.p! - q.p!);
    expect(least!.adjusted).toBeCloseTo(2 * least!.p!, 12);
    expect(most!.adjusted).toBeCloseTo(Math.max(2 * least!.p!, most!.p!), 12);
    expect(parts[2]!.adjusted).toBeUndefined();
  });

  it("never puts two codes into one table", async () => {
    const file = await studyFile({ c: { says: "a beats b", greater: ["a", "b"] } });
    const other = pairedRuns("a", X, "b", Y).map((run) => ({
      ...run,
      id: `other ${run.id}`,
      code: "0ther".repeat(10),
    }));
    const of = report([...pairedRuns("a", X, "b", Y), ...other], [file]);
    expect(of.studies.map(({ code, runs }) => [code.slice(0, 5), runs.length])).toEqual([
      ["c0dec", 10],
      ["0ther", 10],
    ]);
    expect(of.studies.map(({ sayings }) => (sayings[0]!.parts[0] as DecidedMetricClaim).seeds.length)).toEqual([5, 5]);
    expect(of.notes[0]).toMatch(/different code or devices \(10 by code c0dec0dec0de on wasm, 10 by code 0ther/);
    expect(page(of)).toContain("They are never compared");
    // who is ahead is said of each, and of one alone without its name
    for (const code of ["c0dec0dec0de", "0ther0ther0t"])
      expect(page(of)).toContain(`Best mean accuracy in small (code ${code}): `);
    expect(page(report(pairedRuns("a", X, "b", Y), [file]))).toContain("Best mean accuracy: ");
  });

  it("adds the seeds of a study with the same settings, whoever ordered them, and says so", async () => {
    const file = await studyFile({ c: { says: "a beats b", greater: ["a", "b"] } });
    const more = {
      ...file,
      source: "more.yaml",
      study: { ...file.study, name: "more", seeds: [11, 12, 99], claims: {} },
    };
    const runs = pairedRuns("a", X, "b", Y);
    const others = pairedRuns("a", X, "b", Y).map((run) => ({
      ...run,
      id: `more ${run.id}`,
      study: "more",
      seed: run.seed + 10,
    }));
    const of = report([...runs, ...others], [file, more]);
    expect(of.studies.map(({ study }) => study)).toEqual(["small"]);
    expect(firstClaim(of).seeds).toEqual([1, 2, 3, 4, 5, 11, 12, 13, 14, 15]);
    expect(of.notes).toContain("10 runs that were made for more have the settings of small, and stand in its tables.");
    expect(of.studies[0]!.missing!.missing).toEqual([
      { config: "a", seeds: [99] },
      { config: "b", seeds: [99] },
    ]);
    // another base makes other runs, and so do other settings, which neither file plans
    const elsewhere = others.map((run) => ({ ...run, resolved: { ...run.resolved, base: "/elsewhere/other" } }));
    const two = report([...runs, ...elsewhere], [file, more]);
    expect(two.studies.map(({ study }) => study).sort()).toEqual(["more", "small"]);
    const small = two.studies.filter(({ study }) => study === "small");
    expect(firstClaim({ ...two, studies: small }).seeds).toHaveLength(5);
    const smaller = others.map((run) => ({
      ...run,
      resolved: { ...run.resolved, train: { ...run.resolved.train, batchSize: 8 } },
    }));
    const one = report([...runs, ...smaller], [file, more]);
    expect(one.studies.map(({ study }) => study)).toEqual(["small"]);
    expect(firstClaim(one).seeds).toHaveLength(5);
    expect(one.notes.join()).toContain("train.batchSize is 8, in the file 32");
  });

  it("refuses a cell that is there twice, a file of no run, and two files of one study", async () => {
    const runs = pairedRuns("a", X, "b", Y);
    const twice = { ...reportRun({ config: "a", seed: 1, accuracy: 0.8, lr: 2e-3 }), id: "1", name: "a-s1-11111111" };
    expect(() => report([...runs, twice])).toThrow(
      'a with seed 1 is there twice: a-s1-00000000 and a-s1-11111111, which differ in "train.lr"',
    );
    const file = await studyFile({});
    expect(() =>
      report(
        runs.map((run) => ({
          ...run,
          study: "large",
          resolved: { ...run.resolved, train: { ...run.resolved.train, lr: 1 } },
        })),
        [file],
      ),
    ).toThrow('study.yaml: there are no runs of the study "small"; those found are of large');
    // beside a study that has runs one that has none yet is told
    const later = { ...file, source: "later.yaml", study: { ...file.study, name: "later", train: { epochs: 7 } } };
    expect(report(runs, [file, later]).notes).toEqual(["There are no runs of later yet (later.yaml)."]);
    expect(() => report(runs, [file, { ...file, source: "again.yaml" }])).toThrow(/study.yaml and again.yaml are both/);
    expect(() => report([])).toThrow(/no finished run/);
  });

  it("tells tasks apart, each with tables, figures and claims of its own", async () => {
    const raw = {
      name: "small",
      tasks: { easy: { name: "sst2" }, hard: { name: "sst2", trainLimit: 10 } },
      base: "x",
      seeds: [1, 2, 3, 4, 5],
      train: TRAIN,
      configs: CONFIGS,
      claims: {
        easy: { says: "a beats b", greater: ["a", "b"], task: "easy" },
        hard: { says: "a beats b when it is hard", greater: ["a", "b"], task: "hard" },
      },
    };
    const file = { study: await studyOf(raw, "study.yaml"), source: "study.yaml", about: undefined };
    const limit: Record<string, object> = { hard: { trainLimit: 10 } };
    const labelled = (taskLabel: string, x: readonly number[], y: readonly number[]): ReportRun[] =>
      pairedRuns("a", x, "b", y).map((run) => ({
        ...run,
        id: `${taskLabel} ${run.id}`,
        resolved: { ...run.resolved, taskLabel, task: { ...run.resolved.task, ...limit[taskLabel] } },
      }));
    const of = report([...labelled("hard", Y, X), ...labelled("easy", X, Y)], [file]);
    expect(of.studies[0]!.tasks.map(({ label, scores }) => [label, scores.length])).toEqual([
      ["easy", 2],
      ["hard", 2],
    ]);
    expect(of.studies[0]!.sayings.map(({ verdict }) => verdict)).toEqual(["supported", "contradicted"]);
    const ids = [...page(of).matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const names = figuresOf(documentOf(of, "").blocks).map(([name]) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => name.includes("hard")).length).toBeGreaterThan(2);
  });

  it("has studies in the order of their files, and says of each what its names stand for", async () => {
    const first = await studyFile({});
    const file = { ...first, source: "other.yaml", study: { ...first.study, name: "other" } };
    const of = (study: string, seeds: readonly number[], method: object): ReportRun[] =>
      seeds.flatMap((seed) => ["a", "b"].map((config) => reportRun({ config, seed, accuracy: 0.5, study, method })));
    const shared = { allocator: "random" };
    const runs = [...of("small", [1, 2, 3], {}), ...of("other", [1, 2], shared), ...of("unfiled", [1], { dora: true })];
    const none = report(runs).studies.map(({ study }) => study);
    expect(none).toEqual(["small", "other", "unfiled"]);
    const configs = { a: { ...first.study.configs["a"]!, ...shared }, b: { ...first.study.configs["b"]!, ...shared } };
    const given = report(runs, [{ ...file, study: { ...file.study, configs } }, first]);
    expect(given.studies.map(({ study }) => study)).toEqual(["other", "small", "unfiled"]);
    const text = markdown(documentOf(given, ""), String);
    const [, other, small, unfiled] = text.split("What was compared in ");
    expect(other).toContain("**a** LoRA, ranks 2 to 6, allocator random, 16-bit base");
    expect(small).toContain("**a** LoRA, ranks 2 to 6, 16-bit base");
    expect(unfiled).toContain("**a** LoRA, DoRA, ranks 2 to 6, 16-bit base");
  });

  it("says ranks of all seeds, and maps kinds of modules in one order", () => {
    const modules = (...ranks: readonly (readonly [string, number])[]): ReportRun["modules"] =>
      ranks.map(([kind, rank], i) => ({ module: `h.${i % 2}.${kind}`, in: 8, out: 8, rank, scale: 1, parameters: 16 }));
    const run = (config: string, seed: number, of: ReportRun["modules"]): ReportRun => ({
      ...reportRun({ config, seed, accuracy: 0.5 }),
      modules: of,
    });
    // as drawn ranks have them: in any order, and one kind not at all
    const drawn = run("drawn", 1, modules(["value", 3], ["query", 1]));
    const again = run("drawn", 2, modules(["value", 9], ["query", 1]));
    const all = run("all", 1, modules(["query", 1], ["query", 2], ["key", 1], ["key", 4], ["value", 1]));
    const [task] = report([drawn, again, all]).studies[0]!.tasks;
    expect(task!.scores.map(({ about }) => about)).toEqual([
      "LoRA, ranks 1 to 4, 16-bit base",
      "LoRA, ranks 1 to 9, 16-bit base",
    ]);
    expect(task!.rankMaps.map(({ config, kinds }) => [config, kinds.map(({ kind }) => kind)])).toEqual([
      ["all", ["query", "key", "value"]],
      ["drawn", ["query", "value"]],
    ]);
  });

  it("tests each seed's items by themselves", async () => {
    const file = await studyFile({ c: { says: "a beats b", greater: ["a", "b"] } });
    const runs = [1, 2, 3].flatMap((seed) => [
      reportRun({ config: "a", seed, accuracy: 0.8, right: "1111111100" }),
      reportRun({ config: "b", seed, accuracy: 0.2, ...(seed === 1 ? { right: "0000000010" } : {}), items: 10 }),
    ]);
    // 8 against 1: 2 · (1 + 9) / 2⁹; where decisions were not kept there is no test
    expect(firstClaim(report(runs, [file])).mcnemar).toEqual([
      { seed: 1, items: 10, onlyFirst: 8, onlySecond: 1, p: expect.closeTo(20 / 512, 12) as number },
    ]);
  });

  it("refuses pairs of one seed that were scored on different items", async () => {
    const file = await studyFile({ c: { says: "a beats b", greater: ["a", "b"] } });
    const a = reportRun({ config: "a", seed: 1, accuracy: 0.5, right: "10", labels: "0,1" });
    const other = { config: "b", seed: 1, accuracy: 0.5 };
    expect(() => report([a, reportRun({ ...other, right: "10", labels: "1,1" })], [file])).toThrow(
      /a-s1-00000000 and b-s1-00000000 are a pair of one seed and were scored on different items/,
    );
    expect(() => report([a, reportRun({ ...other, right: "100", labels: "0,1,1" })], [file])).toThrow(
      /a-s1-00000000 was scored on 2 items and b-s1-00000000 on 3/,
    );
  });

  it("has no cells of which only the file, or only the run, says an option", async () => {
    const claims = { c: { says: "a beats b", greater: ["a", "b"] } };
    const drawn = { allocator: "random" };
    const file = await studyFile(claims);
    const asked = await studyFile(claims, { a: { ...CONFIGS.a, ...drawn }, b: CONFIGS.b });
    const b = reportRun({ config: "b", seed: 1, accuracy: 0.5 });
    const plain = reportRun({ config: "a", seed: 1, accuracy: 0.5 });
    const random = reportRun({ config: "a", seed: 1, accuracy: 0.5, method: drawn });
    const left = (runs: readonly ReportRun[], of: StudyFile): string => report(runs, [of]).notes.join();
    expect(left([plain, b], file)).toBe("");
    expect(left([random, b], asked)).toBe("");
    expect(left([random, b], file)).toContain("method.allocator is random, in the file not set");
    expect(left([plain, b], asked)).toContain("method.allocator is not set, in the file random");
  });

  it("has no cells with other settings than the file's", async () => {
    const file = await studyFile({ c: { says: "a beats b", greater: ["a", "b"] } });
    const quick = reportRun({ config: "a", seed: 6, accuracy: 0.1, lr: 5 });
    const of = report([...pairedRuns("a", X, "b", Y), quick], [file]);
    expect(of.studies[0]!.runs).toHaveLength(10);
    expect(of.notes).toEqual([
      "Left out: 1 run of small that its file does not plan (a-s6-00000000: train.lr is 5, in the file 0.001).",
    ]);
    expect(() => report([quick], [file])).toThrow(
      'study.yaml: plans none of the runs of "small" that were found: a-s6-00000000: train.lr is 5, in the file 0.001; give the file that they were made with',
    );
  });

  it("decides nothing of what cannot be trusted, or is not all there", async () => {
    const file = await studyFile({ c: { says: "a beats b", greater: ["a", "b"] } });
    const runs = pairedRuns("a", X, "b", Y);
    const doubts = (of: Report): readonly string[] => {
      expect(firstClaim(of).verdict).toBe("not decidable");
      return firstClaim(of).doubts;
    };
    expect(firstClaim(report(runs, [file]))).toMatchObject({ verdict: "supported", doubts: [] });
    expect(doubts(report(runs.slice(0, 8), [file]))).toEqual(["so far there are 4 of 5 planned seeds"]);
    const failing = { ...runs[0]!, proofs: [{ name: "all-finite", holds: false, detail: {} }] };
    expect(doubts(report([failing, ...runs.slice(1)], [file]))).toEqual([
      "a proof does not hold (all-finite of a-s1-00000000)",
    ]);
    const twin = { ...runs[1]!, predictions: runs[0]!.predictions };
    expect(doubts(report([runs[0]!, twin, ...runs.slice(2)], [file]))[0]).toContain("byte-identical with seed 1");
    const diverged = [{ study: "small", config: "b", seed: 5, why: "a NaN" }];
    expect(doubts(reportOf({ runs: runs.slice(0, 9), diverged, notes: [] }, [file], []))).toEqual([
      "there is no result of b with seed 5, where a number was not finite",
      "so far there are 4 of 5 planned seeds",
    ]);
  });

  it("tells what is missing, failing, identical and mixed before anything else", async () => {
    const file = await studyFile({ c: { says: "a beats b", greater: ["a", "b"] } });
    const runs = pairedRuns("a", X, "b", Y).slice(0, 9);
    runs[0] = { ...runs[0]!, proofs: [{ name: "rank-allocation", holds: false, detail: {} }] };
    runs[3] = { ...runs[3]!, predictions: runs[2]!.predictions };
    const text = page(report(runs, [file]));
    const first = text.slice(0, text.indexOf('id="verdicts"'));
    runs[4] = { ...runs[4]!, resolved: { ...runs[4]!.resolved, train: { ...runs[4]!.resolved.train, lr: 5 } } };
    const mixed = page(report(runs));
    expect(first).toContain("of 10 planned runs, 1 is missing (b with seed 5)");
    expect(first).toContain("the proof rank-allocation does not hold in a-s1-00000000");
    expect(first).toContain("a and b cannot be told apart with seed 2");
    expect(mixed).toContain("runs of a were not all made with one setting of train.lr");
  });

  const MEASURED: Measured = {
    format: 1,
    what: "a shape",
    host: "a machine",
    code: "c",
    figures: [
      {
        name: "step",
        label: "time per step",
        unit: "seconds",
        definition: "d",
        exact: false,
        values: { a: [1, 1.1, 0.9], b: [1.8, 2.0, 1.6] },
      },
      {
        name: "plan",
        label: "planned memory",
        unit: "bytes",
        definition: "d",
        exact: true,
        values: { a: [1000], b: [800] },
      },
    ],
  };

  it("decides claims about measured figures by their rounds, and exact ones by their number", async () => {
    const change = ["b", "a"];
    const claims = {
      time: { says: "slow", change, measured: "step", by: 0.81, margin: 0.05 },
      slower: { says: "slower", change, measured: "step", by: 2, margin: 0.05 },
      memory: { says: "small", change, measured: "plan", by: -0.248, margin: 0.05 },
    };
    const file = await studyFile(claims);
    const runs = pairedRuns("a", X, "b", Y);
    const verdicts = (of: Report): string[] => of.studies[0]!.sayings.map(({ verdict }) => verdict);
    const of = report(runs, [file], [MEASURED]);
    expect(verdicts(of)).toEqual(["supported", "contradicted", "supported"]);
    expect(page(of).replaceAll("\u00a0", " ")).toContain(
      "which is −20.0 % (computed, so exact): about the claimed −24.8 %",
    );
    // nothing measured is nothing decided
    expect(verdicts(report(runs, [file]))).toEqual(Array(3).fill("not decidable"));
    // so is what the files do not have, which is told
    const [step, plan] = MEASURED.figures as [Measured["figures"][number], Measured["figures"][number]];
    const withFigure = (...figures: Measured["figures"]): string => {
      const of = report(runs, [file], [{ ...MEASURED, figures }]);
      expect(verdicts(of)).toContain("not decidable");
      return page(of);
    };
    expect(withFigure(step)).toContain(
      "“small”</a></p><p>&quot;plan&quot; was not measured; the files given have step.",
    );
    expect(withFigure({ ...step, values: { a: [1] } }, plan)).toContain("&quot;step&quot; was not measured of b.");
    expect(withFigure({ ...step, values: { a: [1], b: [1, 2] } }, plan)).toContain("has 1 and 2 values by config");
    expect(() => report(runs, [file], [MEASURED, MEASURED])).toThrow(
      /claims.time": more than one measured figure is called "step"; give one file/,
    );
  });

  test.prop([fc.shuffledSubarray(pairedRuns("a", X, "b", Y), { minLength: 10 })], { numRuns: 4 })(
    "is the same whatever the order of its runs",
    async (runs) => {
      const file = await studyFile({ c: { says: "a beats b", greater: ["a", "b"] } });
      expect(page(report(runs, [file]))).toBe(page(report(pairedRuns("a", X, "b", Y), [file])));
    },
  );

  it("is a page that loads nothing and runs nothing, whatever runs are called", () => {
    const evil = `<img src=x onerror=alert(1)>"'&`;
    const runs = pairedRuns(evil, X, "b", Y).map((run) => ({ ...run, study: evil, warnings: [evil] }));
    const document = documentOf(report(runs), "lowrank report");
    const text = html(document);
    const outside = text.replaceAll(/"data:image\/svg\+xml,[^"]*"/g, '""');
    expect(outside).not.toMatch(/<script|<link|<img src=x|https?:\/\/|url\(|@import/);
    expect(outside).toContain("&lt;img src=x onerror");
    const images = [...text.matchAll(/<img src="data:image\/svg\+xml,([^"]*)"[^>]* alt="[^"]+"/g)];
    expect(images.length).toBeGreaterThan(0);
    for (const [, data] of images) {
      const drawing = decodeURIComponent(data!);
      expect(drawing).not.toMatch(/<img|<script|<title|NaN|undefined|Infinity/);
      expect(drawing).toMatch(/^<svg xmlns='[^']*' [^>]*>.*<\/svg>$/);
    }
    for (const [, drawing] of figuresOf(document.blocks))
      expect(svg(drawing, "")).toMatch(/^<svg [^>]*role="img"[^>]*><title id="t">[^<]+<\/title><desc id="d">/);
    expect(markdown(document, (name) => `figures/${name}.svg`)).not.toMatch(/(^|[^\\])<img/);
    expect(text).not.toMatch(/NaN|undefined|Infinity/);
  });
});

describe("what was there before the first step", () => {
  const runs = [1, 2, 3].map((seed) => reportRun({ config: "a", seed, accuracy: 0.9 + seed / 100 }));
  const started = runs.map((run, i) => ({ ...run, start: { ...run.final, step: 0, accuracy: 0.5 + i / 100 } }));

  const words = (of: Report): string => markdown(documentOf(of, ""), (name) => name);

  it("stands beside the results, mean over seeds ± half of its interval", () => {
    const text = words(report(started));
    // sd 0.01, t(0.975, 2) = 4.3027: 100 · 4.3027 · 0.01 / √3 = 2.48
    expect(text).toMatch(/before: accuracy, %.*accuracy, %/);
    expect(text).toMatch(/51\.00 ± 2\.48.*92\.00 ± 2\.48/);
    expect(text).toContain("Before is the same evaluation ahead of the first step");
  });

  it("is not there where nobody asked for it, and is a dash where not all runs of a config have it", () => {
    expect(words(report(runs))).not.toMatch(/before: |Before is/);
    const other = reportRun({ config: "b", seed: 1, accuracy: 0.9 });
    expect(words(report([...started, other]))).toMatch(/\| b +\|.*\| +1 \| +– \| +90\.00/);
  });
});
