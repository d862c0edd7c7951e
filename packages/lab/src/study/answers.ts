/**
 * What a study's results say about the questions that its configs pose, one line each. A claim of difference needs p < 0.05 after Holm's
 * correction over the pairs that the question compares; a claim of no difference needs the 90 % interval within ± 1 point. All else is not
 * decidable with this many seeds, and is said so.
 */
import { byTask } from "../store/by-task.ts";
import type { FinishedRun } from "../store/measures.ts";
import { holm, LEAST_PAIRS, pairedDifference, type PairedDifference } from "../statistics/paired.ts";
import { spread } from "../store/summary.ts";
import { tCritical } from "../statistics/student-t.ts";
import { metricNamed, metricNames, metricOf, metricScale } from "../metrics/of-evaluation.ts";
import type { RecoverySummary } from "./rank-picture.ts";

export interface Answer {
  readonly question: string;
  /** One line, numbers included. */
  readonly answer: string;
  /** False where the answer is that more seeds are needed. */
  readonly decided: boolean;
}

const SIGNIFICANT = 0.05;
/** Accuracies closer than this count as equal where the interval shows it. */
const EQUAL_POINTS = 1;
/** Correlation above which ranks count as found, at the lower end of the interval. */
const FOUND = 0.5;
const QUANTizED: ReadonlySet<string> = new Set(["nf4", "fp4", "int8"]);
const LISTED = 3;

/** Questions that these results can be asked, of each task by itself; none where there is nothing to compare. */
export function answers(results: readonly FinishedRun[], recovery: readonly RecoverySummary[]): Answer[] {
  return byTask(results).flatMap(({ task, results: of }) =>
    [...fourBits(of), ...ranksFound(recovery.filter((row) => row.task === task)), ...anyDifference(of)].map((answer) =>
      task === undefined ? answer : { ...answer, question: `${task}: ${answer.question}` },
    ),
  );
}

interface Pair {
  readonly a: string;
  readonly b: string;
  readonly difference: PairedDifference;
  readonly p: number | undefined;
  /** "points" for shares. */
  readonly unit: string;
  /** How much better `a` is. */
  readonly gain: number;
}

/** The metric that is compared: the task's first. */
function primary(results: readonly FinishedRun[]): ReturnType<typeof metricNamed> {
  return metricNamed(metricNames(results[0]?.final ?? {})[0] ?? "loss");
}

/** The metric of `a` minus that of `b`, shares in points, over the seeds both have, corrected over all the pairs. */
function compare(results: readonly FinishedRun[], pairs: readonly (readonly [string, string])[]): Pair[] {
  const { name, better, unit } = primary(results);
  const scale = metricScale(name);
  const sign = better === "higher" ? 1 : -1;
  const accuracy = (config: string): Map<number, number> =>
    new Map(results.flatMap((r) => (r.config === config ? [[r.seed, scale * metricOf(r.final, name)] as const] : [])));
  const differences = pairs.map(([a, b]) => {
    const [x, y] = [accuracy(a), accuracy(b)];
    const seeds = [...x.keys()].filter((seed) => y.has(seed));
    return {
      a,
      b,
      difference: pairedDifference(
        seeds.map((s) => x.get(s)!),
        seeds.map((s) => y.get(s)!),
      ),
    };
  });
  const tested = differences.filter(({ difference }) => difference.p !== undefined);
  const adjusted = new Map(holm(tested.map(({ difference }) => difference.p!)).map((p, i) => [tested[i]!, p]));
  return differences
    .filter(({ difference }) => difference.n > 0)
    .map((pair) => ({
      ...pair,
      p: adjusted.get(pair),
      unit: unit === "share" ? " points" : "",
      gain: sign * pair.difference.mean,
    }));
}

function configsOf(results: readonly FinishedRun[]): string[] {
  return [...new Set(results.map((r) => r.config))];
}

function signed(value: number): string {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
}

function said({ difference, unit }: Pair): string {
  const interval = difference.interval(0.95);
  return `${signed(difference.mean)}${unit}${interval === undefined ? "" : `, 95 % interval ${signed(interval[0])} to ${signed(interval[1])}`}`;
}

function undecided(n: number): string {
  return `not decidable with ${n} seed${n === 1 ? "" : "s"}`;
}

/** Pairs of configs that differ in their base's storage alone, and in who chose their rate, one of them quantized. */
function fourBits(results: readonly FinishedRun[]): Answer[] {
  const methods = new Map(results.map((r) => [r.config, r.resolved.method]));
  const rest = (config: string): string => JSON.stringify({ ...methods.get(config), storage: null, rate: null });
  const quantized = (config: string): boolean => QUANTizED.has(methods.get(config)?.storage ?? "");
  const pairs = configsOf(results)
    .filter(quantized)
    .flatMap((a) =>
      configsOf(results)
        .filter((b) => !quantized(b) && rest(a) === rest(b))
        .map((b) => [a, b] as const),
    );
  const verdicts = compare(results, pairs).map((pair) => {
    const { difference, p } = pair;
    // what is equal is agreed on for shares only
    const within =
      pair.unit !== "" && (difference.interval(0.9)?.every((bound) => Math.abs(bound) <= EQUAL_POINTS) ?? false);
    const verdict =
      p !== undefined && p < SIGNIFICANT
        ? pair.gain < 0
          ? "yes"
          : "no, it gains"
        : within
          ? `no, within ± ${EQUAL_POINTS} point`
          : undecided(difference.n);
    return { decided: verdict !== undecided(difference.n), line: `${pair.a} − ${pair.b}: ${verdict} (${said(pair)})` };
  });
  if (verdicts.length === 0) return [];
  return [
    {
      question: `Do fewer bits in the base cost ${primary(results).label} here?`,
      answer: verdicts.map((v) => v.line).join("; "),
      decided: verdicts.every((v) => v.decided),
    },
  ];
}

function ranksFound(recovery: readonly RecoverySummary[]): Answer[] {
  return recovery
    .filter(({ searched }) => searched)
    .map(({ config, spearman: { mean, sd, n } }) => {
      const half = n < LEAST_PAIRS || sd === null ? undefined : (tCritical(0.05, n - 1) * sd) / Math.sqrt(n);
      const verdict = recovered(n, mean, half);
      const interval =
        half === undefined
          ? ""
          : `, 95 % interval ${(mean - half).toFixed(2)} to ${Math.min(1, mean + half).toFixed(2)}`;
      return {
        question: `Did ${config} find the planted ranks?`,
        answer: `${verdict} (Spearman ${mean.toFixed(2)}${interval})`,
        decided: verdict !== undecided(n),
      };
    });
}

/** What the interval mean ± half says of recovery. */
function recovered(n: number, mean: number, half: number | undefined): string {
  if (half === undefined) return undecided(n);
  if (mean - half > FOUND) return "yes";
  if (mean - half > 0) return "in part";
  return mean + half < FOUND ? "no" : undecided(n);
}

function anyDifference(results: readonly FinishedRun[]): Answer[] {
  const configs = configsOf(results);
  const pairs = compare(
    results,
    configs.flatMap((a, i) => configs.slice(i + 1).map((b) => [a, b] as const)),
  );
  if (pairs.length === 0) return [];
  const question = `Is any difference in ${primary(results).label} larger than its noise?`;
  // the better one first
  const clear = pairs
    .filter(({ p }) => p !== undefined && p < SIGNIFICANT)
    .sort((x, y) => Math.abs(y.difference.mean) - Math.abs(x.difference.mean));
  const family = `Holm over ${pairs.length} pair${pairs.length === 1 ? "" : "s"}`;
  if (clear.length > 0) {
    const named = clear
      .slice(0, LISTED)
      .map(
        ({ a, b, difference, gain, p }) =>
          `${gain > 0 ? `${a} over ${b}` : `${b} over ${a}`} by ${Math.abs(difference.mean).toFixed(2)} (p ${p!.toPrecision(2)})`,
      );
    const more = clear.length > LISTED ? `, and ${clear.length - LISTED} more` : "";
    return [{ question, answer: `yes: ${named.join(", ")}${more}; ${family}`, decided: true }];
  }
  const largest = pairs.reduce((x, y) => (Math.abs(y.difference.mean) > Math.abs(x.difference.mean) ? y : x));
  const noise = spread(pairs.map(({ difference }) => difference.n)).mean;
  return [
    {
      question,
      answer: `${undecided(Math.round(noise))}: the largest is ${largest.a} − ${largest.b}, ${said(largest)}${largest.p === undefined ? "" : `, p ${largest.p.toPrecision(2)}`}; ${family}`,
      decided: false,
    },
  ];
}

/** Questions and answers as lines for people. */
export function answerLines(list: readonly Answer[]): string[] {
  return list.flatMap(({ question, answer }) => [question, `  ${answer}`]);
}
