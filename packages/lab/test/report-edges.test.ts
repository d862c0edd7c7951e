/** What a report says of runs that came to nothing, that nobody planned, that have no number, or that are of different seeds. */
import { describe, expect, it } from "vitest";
import { studyOf } from "../src/config/load.ts";
import { configWords } from "../src/report/config-words.ts";
import { reportOf, type Report } from "../src/report/model/report.ts";
import type { DivergedRun, ReportRun } from "../src/report/run.ts";
import type { StudyFile } from "../src/report/study-file.ts";
import { html } from "../src/report/views/html.ts";
import { markdown } from "../src/report/views/markdown.ts";
import { documentOf } from "../src/report/write/document.ts";
import { alarms } from "../src/report/write/alarms.ts";
import type { Measured } from "../src/store/measured.ts";
import { wikitext2 } from "../src/tasks/wikitext2.ts";
import { pairedRuns, reportRun } from "./report-runs.ts";

const X = [0.855, 0.861, 0.849, 0.858, 0.852];
const Y = [0.841, 0.839, 0.83, 0.846, 0.831];
const RUNS = pairedRuns("a", X, "b", Y);

async function studyFile(more: object = {}): Promise<StudyFile> {
  const raw = {
    name: "small",
    task: { name: "sst2" },
    base: "x",
    seeds: [1, 2, 3, 4, 5],
    train: { epochs: 1, weightDecay: 0, warmup: 0, evalEvery: "end", lr: 1e-3 },
    configs: {
      a: { method: "lora", target: ["query"], r: 4, storage: "f16" },
      b: { method: "lora", target: ["key"], r: 4, storage: "f16" },
    },
    claims: { c: { says: "a beats b", greater: ["a", "b"] } },
    ...more,
  };
  return { study: await studyOf(raw, "study.yaml"), source: `${raw.name}.yaml`, about: undefined };
}

function words(of: Report): string {
  return markdown(documentOf(of, ""), (name) => name).replaceAll("\u00a0", " ");
}

describe("runs that came to no result", () => {
  const lost: DivergedRun = { study: "small", config: "b", seed: 5, code: "c0de".repeat(16), why: "a NaN in matmul" };
  const verdict = (diverged: readonly DivergedRun[], runs: readonly ReportRun[], file: StudyFile): string =>
    reportOf({ runs, diverged, notes: [] }, [file], []).studies[0]!.sayings[0]!.verdict;

  it("are named though their study has no other", async () => {
    const files = [await studyFile(), await studyFile({ name: "hopeless", claims: {}, train: { lr: 1e30 } })];
    const diverged = [1, 2].map((seed) => ({ ...lost, study: "hopeless", seed }));
    for (const given of [files, []])
      expect(reportOf({ runs: RUNS, diverged, notes: [] }, given, []).notes).toContain(
        "Outside of all tables: 2 runs of hopeless by code c0dec0dec0de came to no result: b with seed 1 (a NaN in matmul), b with seed 2 (a NaN in matmul).",
      );
    expect(reportOf({ runs: RUNS, diverged, notes: [] }, files, []).notes).toContain(
      "No run of hopeless came to a result (hopeless.yaml).",
    );
    expect(() => reportOf({ runs: RUNS, diverged, notes: [] }, [files[1]!], [])).toThrow(
      'hopeless.yaml: no run of "hopeless" came to a result: b with seed 1 (a NaN in matmul)',
    );
  });

  it("keep a claim from being decided by the code that made them, and by no other", async () => {
    const file = await studyFile();
    const without = RUNS.filter(({ config, seed }) => config !== "b" || seed !== 5);
    expect(verdict([], RUNS, file)).toBe("supported");
    expect(verdict([lost], without, file)).toBe("not decidable");
    const old = { ...lost, code: "01d".repeat(20) };
    expect(verdict([old], RUNS, file)).toBe("supported");
    const of = reportOf({ runs: RUNS, diverged: [old], notes: [] }, [file], []);
    expect(alarms(of.studies)).toEqual([]);
    expect(of.notes.join()).toContain("1 run of small by code 01d01d01d01d came to no result: b with seed 5");
    // by this code, but made with other settings: the cell has a result
    expect(verdict([lost], RUNS, file)).toBe("supported");
  });
});

describe("seeds that no file plans", () => {
  it("are told, unless another file that was given plans them", async () => {
    const file = await studyFile({ seeds: [1, 2, 3] });
    const notes = (files: readonly StudyFile[]): string =>
      reportOf({ runs: RUNS, diverged: [], notes: [] }, files, []).notes.join();
    expect(notes([file])).toBe(
      "4 runs of small have seeds that no file plans (4, 5); tables and tests have them: claims were written down for other seeds.",
    );
    expect(notes([file, await studyFile({ name: "more", seeds: [4, 5], claims: {} })])).not.toContain("no file plans");
    expect(notes([])).toBe("");
  });
});

describe("a metric that a run has no number of", () => {
  const without = (which: (run: ReportRun) => boolean): ReportRun[] =>
    RUNS.map((run) =>
      which(run) ? { ...run, final: { ...run.final, accuracy: null } as unknown as ReportRun["final"] } : run,
    );
  const of = async (which: (run: ReportRun) => boolean): Promise<Report> =>
    reportOf({ runs: without(which), diverged: [], notes: [] }, [await studyFile()], []);

  it("is named, and the claim about it not decided", async () => {
    const one = await of(({ config, seed }) => config === "a" && seed === 2);
    const part = one.studies[0]!.sayings[0]!.parts[0]!;
    expect(part).toMatchObject({ verdict: "not decidable", seeds: [1, 3, 4, 5] });
    expect(words(one)).toContain("accuracy of a-s2-00000000 is no number");
    expect(words(one)).not.toMatch(/the same in every seed|NaN|undefined/);
  });

  it("is a dash in tables, be it the first run's or a whole config's", async () => {
    for (const which of [
      ({ seed }: ReportRun) => seed === 1,
      ({ config }: ReportRun) => config === "a",
      ({ seed, config }: ReportRun) => seed === 1 && config === "a",
    ]) {
      const text = words(await of(which));
      expect(text).toContain("| a ");
      expect(html(documentOf(await of(which), ""))).not.toMatch(/NaN|undefined|Infinity/);
    }
    expect(words(await of(({ config }) => config === "a"))).toContain("Mean accuracy: b with 83.74 %");
  });
});

describe("tables", () => {
  it("warn of means over different seeds", async () => {
    const warning = "means over different seeds are of different things";
    const all = reportOf({ runs: RUNS, diverged: [], notes: [] }, [await studyFile()], []);
    expect(words(all)).not.toContain(warning);
    const some = reportOf({ runs: RUNS.slice(0, 9), diverged: [], notes: [] }, [await studyFile()], []);
    expect(words(some)).toContain(warning);
  });

  it("have every measured figure of every config, whether a claim is about it or not", () => {
    const measured: Measured = {
      format: 1,
      what: "a shape",
      host: "a machine",
      code: "c".repeat(64),
      figures: [
        {
          name: "step",
          label: "step",
          unit: "seconds",
          definition: "d",
          exact: false,
          values: { a: [1, 3], b: [4, 4] },
        },
        { name: "plan", label: "plan", unit: "bytes", definition: "e", exact: true, values: { b: [1024] } },
      ],
    };
    const text = words(reportOf({ runs: RUNS, diverged: [], notes: [] }, [], [measured]));
    expect(text).toContain("At a shape. On a machine, by code cccccccccccc.");
    expect(text).toMatch(/\| a +\| +2\.000 s, 2 rounds \| +– \|/);
    expect(text).toMatch(/\| b +\| 4\.000 s \(\+100\.0 %\), 2 rounds \| 1\.0 KiB \|/);
  });

  it("tell each config of a claim about several", async () => {
    const lora = { method: "lora", target: ["query"], r: 4, storage: "f16" };
    const file = await studyFile({
      configs: { a: lora, b: { ...lora, target: ["key"] }, c: { ...lora, r: 5 } },
      claims: { t: { says: "slow", change: [["a", "b"], ["c"]], measured: "step", by: 0.5, margin: 0.1 } },
    });
    const values = { a: [1, 1, 1], b: [4, 4, 4], c: [2, 2, 2] };
    const measured: Measured = {
      format: 1,
      what: "w",
      host: "h",
      code: "c",
      figures: [{ name: "step", label: "step", unit: "seconds", definition: "d", exact: false, values }],
    };
    expect(words(reportOf({ runs: RUNS, diverged: [], notes: [] }, [file], [measured]))).toContain(
      "One by one: a 1.000 s, b 4.000 s; against c 2.000 s.",
    );
  });
});

describe("what names stand for", () => {
  const of = (method: object): string => configWords([reportRun({ config: "a", seed: 1, accuracy: 0.5, method })]);

  it("has dropout, of adapters and of the base", () => {
    expect(of({ dropout: 0, baseDropout: 0 })).not.toContain("dropout");
    expect(of({ dropout: 0.1, baseDropout: 0.1 })).toMatch(/, dropout 0\.1$/);
    expect(of({ dropout: 0.1, baseDropout: 0 })).toMatch(/, dropout 0\.1 of adapters$/);
    expect(of({ dropout: 0, baseDropout: 0.2 })).toMatch(/, dropout 0\.2 of the base$/);
    expect(of({ dropout: 0.1, baseDropout: 0.2 })).toMatch(/, dropout 0\.1 of adapters, 0\.2 of the base$/);
  });

  it("has terms that are there, and no others", () => {
    const text = words(reportOf({ runs: RUNS, diverged: [], notes: [] }, [], []));
    expect(text).toContain("* **accuracy** ");
    expect(text).not.toMatch(/\* \*\*(perplexity|AdaLoRA|4-bit base)\*\*/);
  });

  it("has what a perplexity says nothing without", () => {
    const said = (options: object, evaluation: object): string =>
      wikitext2.scoredWords!(
        wikitext2.schema.parse({ name: "wikitext2", train: "valid.txt", ...options }) as never,
        evaluation,
      );
    expect(said({ window: 256 }, { scored: { tokens: 26_350, words: 21_756 } })).toBe(
      "Scored on test.txt as one text with its lines joined as the file has them, in windows of 256 tokens with stride 256. Perplexity is by token (26,350 scored), word perplexity by word (21,756 scored), ends of lines among them.",
    );
    expect(said({ validation: { trainRows: [5, 9] }, stride: 8, trainRows: [1, 4] }, {})).toContain(
      "lines 5 to 9 of valid.txt as one text with its lines joined as the file has them, in windows of 512 tokens with stride 8.",
    );
  });
});
