/** Two configs of one task, seed by seed. */
import { InputError } from "../../errors.ts";
import { metricOf } from "../../metrics/of-evaluation.ts";
import { mcnemar } from "../../statistics/mcnemar.ts";
import { pairedDifference } from "../../statistics/paired.ts";
import type { ReportRun } from "../run.ts";

/** Runs of both for every seed that both have the metric of, in the order of seeds. */
export interface SeedPairs {
  readonly seeds: readonly number[];
  readonly runs: readonly (readonly [ReportRun, ReportRun])[];
  /** Seeds that only one of them has. */
  readonly alone: readonly number[];
  /** Runs that have no number as the metric. */
  readonly without: readonly ReportRun[];
}

export function pairsOf(runs: readonly ReportRun[], [a, b]: readonly [string, string], metric: string): SeedPairs {
  const has = ({ final }: ReportRun): boolean => Number.isFinite(metricOf(final, metric));
  const by = (config: string): Map<number, ReportRun> =>
    new Map(runs.flatMap((run) => (run.config === config && has(run) ? [[run.seed, run] as const] : [])));
  const [x, y] = [by(a), by(b)];
  const seeds = [...x.keys()].filter((seed) => y.has(seed)).sort((p, q) => p - q);
  return {
    seeds,
    runs: seeds.map((seed) => [x.get(seed)!, y.get(seed)!] as const),
    alone: [...x.keys(), ...y.keys()].filter((seed) => !seeds.includes(seed)).sort((p, q) => p - q),
    without: runs.filter((run) => (run.config === a || run.config === b) && !has(run)),
  };
}

/** The metric of each, as two samples. */
export function samplesOf({ runs }: SeedPairs, metric: string): readonly [number[], number[]] {
  return [runs.map(([a]) => metricOf(a.final, metric)), runs.map(([, b]) => metricOf(b.final, metric))];
}

/** McNemar's exact test of one seed: items that only one of the two decided rightly. */
export interface SeedMcNemar {
  readonly seed: number;
  readonly items: number;
  readonly onlyFirst: number;
  readonly onlySecond: number;
  readonly p: number;
}

/**
 * One test a seed, never pooled: the same items again are no new items. Empty where decisions are not known.
 * @throws InputError for two runs that were asked different things
 */
export function mcnemarBySeed({ seeds, runs }: SeedPairs): SeedMcNemar[] {
  return runs.flatMap(([a, b], i) => {
    const [first, second] = [a.judged(), b.judged()];
    if (first === undefined || second === undefined) return [];
    if (first.labels !== second.labels)
      throw new InputError(
        `${a.name} and ${b.name} are a pair of one seed and were scored on different items: their data is not the same; give a folder with runs on one`,
      );
    const [x, y] = [first.right, second.right];
    let [onlyFirst, onlySecond] = [0, 0];
    for (let at = 0; at < x.length; at++) {
      if (x[at] === y[at]) continue;
      if (x[at] === "1") onlyFirst++;
      else onlySecond++;
    }
    return [{ seed: seeds[i]!, items: x.length, onlyFirst, onlySecond, p: mcnemar(onlyFirst, onlySecond).exact }];
  });
}

/** A paired difference that is shown and not tested, or that a claim is about. */
export interface Difference {
  readonly a: string;
  readonly b: string;
  readonly n: number;
  /** Of a − b, in the metric's units. */
  readonly mean: number;
  /** Undefined below three pairs. */
  readonly interval95: readonly [number, number] | undefined;
}

export function differenceOf(pairs: SeedPairs, configs: readonly [string, string], metric: string): Difference {
  const { n, mean, interval } = pairedDifference(...samplesOf(pairs, metric));
  return { a: configs[0], b: configs[1], n, mean, interval95: interval(0.95) };
}
