/** What each config of a task scored over its seeds, and what it cost. */
import { metricNames, metricOf } from "../../metrics/of-evaluation.ts";
import { ranksOf } from "../../study/source-ranks.ts";
import { grouped } from "../grouped.ts";
import { configWords } from "../config-words.ts";
import type { ReportRun } from "../run.ts";
import { spreadOf, type SeedSpread } from "./spread.ts";

/** Least and most over seeds; both the same where seeds do not matter. */
export type Range = readonly [number, number];

export interface ConfigScore {
  readonly config: string;
  /** What is on, in words. */
  readonly about: string;
  readonly seeds: readonly number[];
  /** By name, in the task's order, `loss` last; means are NaN where a run has no number. */
  readonly metrics: Readonly<Record<string, SeedSpread>>;
  /** The first metric before the first step; undefined unless every run was evaluated there. */
  readonly start: SeedSpread | undefined;
  readonly trainable: Range;
  readonly effective: Range;
  readonly total: number;
  /** Sum of ranks over modules at the end; undefined where nothing has ranks. */
  readonly ranks: Range | undefined;
  /** Planned bytes: what the device held at its peak. */
  readonly planned: Range;
  /** Resident bytes of the process at its peak. */
  readonly resident: Range;
  /** Planned bytes of the first run by what they hold. */
  readonly split: ReportRun["measures"]["memory"]["split"];
  readonly secondsPerStep: SeedSpread;
  readonly seconds: SeedSpread;
}

/** In the order in which configs first appear. @param runs of one task */
export function scoresOf(runs: readonly ReportRun[]): ConfigScore[] {
  const names = metricsOf(runs);
  return [...grouped(runs, ({ config }) => config)].map(([config, of]) => scoreOf(config, of, names));
}

/** Metrics that at least one of the runs has, in the task's order: a correlation of what does not vary is no number. */
export function metricsOf(runs: readonly ReportRun[]): string[] {
  const some = new Set(runs.flatMap(({ final }) => metricNames(final)));
  return [...new Set(runs.flatMap(({ final }) => Object.keys(final)))].filter((name) => some.has(name));
}

function scoreOf(config: string, runs: readonly ReportRun[], names: readonly string[]): ConfigScore {
  const over = (pick: (run: ReportRun) => number): SeedSpread => spreadOf(runs.map(pick));
  const range = (pick: (run: ReportRun) => number): Range => {
    const values = runs.map(pick);
    return [Math.min(...values), Math.max(...values)];
  };
  const first = runs[0]!;
  const [metric] = names;
  const starts = runs.flatMap(({ start }) =>
    start === undefined || metric === undefined ? [] : [metricOf(start, metric)],
  );
  const ranked = runs.every(({ modules }) => modules.length > 0 && modules.every(({ rank }) => rank !== undefined));
  return {
    config,
    about: configWords(runs),
    seeds: runs.map(({ seed }) => seed),
    metrics: Object.fromEntries([
      ...names.map((name) => [name, over(({ final }) => metricOf(final, name))] as const),
      ["loss", over(({ final }) => final.loss)] as const,
    ]),
    start: starts.length === runs.length ? spreadOf(starts) : undefined,
    trainable: range(({ parameters }) => parameters.trainable),
    effective: range(({ parameters }) => parameters.effective),
    total: first.parameters.total,
    ranks: ranked ? range((run) => sum(ranksOf(run).values())) : undefined,
    planned: range(({ measures: { memory } }) => memory.arenaBytes + memory.persistentBytes),
    resident: range(({ measures: { memory } }) => memory.peakRssBytes),
    split: first.measures.memory.split,
    secondsPerStep: over(({ measures }) => measures.seconds.perStep),
    seconds: over(({ measures }) => measures.seconds.total),
  };
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

/** The same for configs with the same seeds: means over others are of different things. */
export function seedKey({ seeds }: Pick<ConfigScore, "seeds">): string {
  return [...seeds].sort((a, b) => a - b).join();
}
