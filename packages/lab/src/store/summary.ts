/** Results of a study over its seeds: one row per config, as data, CSV and a table. */
import { stringify } from "csv-stringify/sync";
import { metricNamed, metricNames, metricOf, metricScale } from "../metrics/of-evaluation.ts";
import { formatBytes, formatCount, formatDuration } from "../text/format.ts";
import { renderTable } from "../text/table.ts";
import { byTask, taskLabel } from "./by-task.ts";
import type { FinishedRun } from "./measures.ts";

export interface Spread {
  readonly mean: number;
  /** Sample standard deviation (n − 1); null for one run. */
  readonly sd: number | null;
  readonly n: number;
}

export interface SummaryRow {
  readonly config: string;
  /** In a study of several tasks. */
  readonly task?: string;
  readonly method: string;
  readonly seeds: readonly number[];
  readonly loss: Spread;
  /** The first metric before the first step, of the runs that were evaluated there. */
  readonly start?: Spread & { readonly metric: string };
  readonly trainable: number;
  readonly percent: number;
  readonly secondsPerStep: Spread;
  readonly seconds: Spread;
  readonly memoryBytes: number;
  /** A `Spread` of each metric by name, after the seeds. */
  readonly [metric: string]: unknown;
}

const COMMON: ReadonlySet<string> = new Set([
  "config",
  "task",
  "method",
  "seeds",
  "loss",
  "start",
  "trainable",
  "percent",
  "secondsPerStep",
  "seconds",
  "memoryBytes",
]);

/** Mean and sample standard deviation. */
export function spread(values: readonly number[]): Spread {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, sd: n < 2 ? null : Math.sqrt(squares / (n - 1)), n };
}

/** One row per config, in the order in which configs first appear; task by task where there are several. */
export function summarize(results: readonly FinishedRun[]): SummaryRow[] {
  return byTask(results).flatMap(({ task, results: of }) =>
    rowsOf(of).map((row) => ({ ...row, ...(task === undefined ? {} : { task }) })),
  );
}

function rowsOf(results: readonly FinishedRun[]): SummaryRow[] {
  const configs = [...new Set(results.map((result) => result.config))];
  return configs.map((config) => {
    const runs = results.filter((result) => result.config === config);
    const over = (pick: (run: FinishedRun) => number): Spread => spread(runs.map(pick));
    return {
      config,
      method: runs[0]!.method,
      seeds: runs.map((run) => run.seed),
      ...Object.fromEntries(
        metricNames(runs[0]!.final).map((name) => [name, over((run) => metricOf(run.final, name))]),
      ),
      loss: over((run) => run.final.loss),
      ...startOf(runs),
      trainable: runs[0]!.parameters.trainable,
      percent: runs[0]!.parameters.percent,
      secondsPerStep: over((run) => run.measures.seconds.perStep),
      seconds: over((run) => run.measures.seconds.total),
      memoryBytes: Math.max(...runs.map(({ measures: { memory } }) => memory.arenaBytes + memory.persistentBytes)),
    };
  });
}

function startOf(runs: readonly FinishedRun[]): Pick<SummaryRow, "start"> {
  const [name] = metricNames(runs[0]!.final);
  const values = runs.flatMap(({ start }) =>
    start === undefined || name === undefined ? [] : [metricOf(start, name)],
  );
  return values.length === 0 ? {} : { start: { metric: name!, ...spread(values) } };
}

/** `91.60 ± 0.21`, shares in percent; without ± for one run. */
function scaled({ mean, sd }: Spread, scale: number): string {
  return `${(scale * mean).toFixed(2)}${sd === null ? "" : ` ± ${(scale * sd).toFixed(2)}`}`;
}

/** Table for people: mean ± sample standard deviation over seeds of the final evaluation. */
export function summaryTable(rows: readonly SummaryRow[]): string {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((key) => !COMMON.has(key));
  const starts = [...new Set(rows.flatMap(({ start }) => start?.metric ?? []))];
  const titleOf = (name: string): string => {
    const { label, unit } = metricNamed(name);
    return unit === "share" ? `${label} %` : label;
  };
  const several = rows.some(({ task }) => task !== undefined);
  return renderTable(
    [
      ...(several ? [{ title: "task" }] : []),
      { title: "config" },
      { title: "n", align: "right" },
      ...starts.map((name) => ({ title: `${titleOf(name)} before`, align: "right" as const })),
      ...names.map((name) => ({ title: titleOf(name), align: "right" as const })),
      { title: "trainable", align: "right" },
      { title: "% of all", align: "right" },
      { title: "ms/step", align: "right" },
      { title: "time", align: "right" },
      { title: "memory", align: "right" },
    ],
    rows.map((row) => [
      ...(several ? [row.task ?? ""] : []),
      row.config,
      String(row.seeds.length),
      ...starts.map((name) => (row.start?.metric === name ? scaled(row.start, metricScale(name)) : "")),
      ...names.map((name) => (row[name] === undefined ? "" : scaled(row[name] as Spread, metricScale(name)))),
      formatCount(row.trainable),
      row.percent.toFixed(2),
      (1000 * row.secondsPerStep.mean).toFixed(1),
      formatDuration(row.seconds.mean),
      formatBytes(row.memoryBytes),
    ]),
  );
}

/** With its whole identity, or without where names do. */
type CsvRun = Omit<FinishedRun, "id"> & { readonly id?: string | undefined; readonly code?: string };

/** One line per run, for spreadsheets and data frames. */
export function resultsCsv(results: readonly CsvRun[]): string {
  const names = [...new Set(results.flatMap((run) => metricNames(run.final)))];
  const started = results.some(({ start }) => start !== undefined);
  const rows = results.map((run) => ({
    study: run.study,
    task: taskLabel(run) ?? run.task,
    config: run.config,
    method: run.method,
    seed: run.seed,
    ...Object.fromEntries(names.map((name) => [name, run.final[name]])),
    loss: run.final.loss,
    ...Object.fromEntries(names.slice(0, 1).map((name) => [`best_${name}`, run.best[name]])),
    ...(started
      ? {
          ...Object.fromEntries(names.map((name) => [`start_${name}`, run.start?.[name]])),
          start_loss: run.start?.loss,
        }
      : {}),
    trainable: run.parameters.trainable,
    effective: run.parameters.effective,
    total: run.parameters.total,
    steps: run.steps,
    seconds: run.measures.seconds.total,
    seconds_per_step: run.measures.seconds.perStep,
    arena_bytes: run.measures.memory.arenaBytes,
    persistent_bytes: run.measures.memory.persistentBytes,
    peak_rss_bytes: run.measures.memory.peakRssBytes,
    estimated_peak_rss_bytes: run.measures.memory.estimatedPeakRssBytes,
    device: run.device,
    run: run.name,
    ...(run.id === undefined ? {} : { id: run.id }),
    ...(run.code === undefined ? {} : { code: run.code }),
  }));
  return stringify(rows, { header: true });
}

export interface TwinRuns {
  readonly seed: number;
  /** In a study of several tasks. */
  readonly task: string | undefined;
  readonly configs: readonly [string, string];
  /** `logits`: every number is the same, one config's switch did nothing. `labels`: only the decisions are. */
  readonly identical: "logits" | "labels";
}

/**
 * Steps from which equal decisions say something. Before, configurations commonly decide alike, as the head that they all began with still
 * does (all rows one class); equal logits say at any length that a switch did nothing.
 */
const MEANT_STEPS = 50;

/** Pairs of different configs of one seed whose predictions cannot be told apart. */
export function indistinguishable(results: readonly FinishedRun[]): TwinRuns[] {
  const twins: TwinRuns[] = [];
  results.forEach((a, i) => {
    for (const b of results.slice(i + 1)) {
      if (a.seed !== b.seed || a.config === b.config || a.task !== b.task || taskLabel(a) !== taskLabel(b)) continue;
      const common = { seed: a.seed, task: taskLabel(a), configs: [a.config, b.config] as [string, string] };
      if (a.predictions.sha256 === b.predictions.sha256) twins.push({ ...common, identical: "logits" });
      else if (Math.min(a.steps, b.steps) >= MEANT_STEPS && a.predictions.labelsSha256 === b.predictions.labelsSha256)
        twins.push({ ...common, identical: "labels" });
    }
  });
  return twins;
}
