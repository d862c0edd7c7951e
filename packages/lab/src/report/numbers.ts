/** Every number of a report in words: the one place where digits, units and signs are chosen. */
import { metricNamed } from "../metrics/of-evaluation.ts";
import { formatBytes, formatCount, formatNumber } from "../text/format.ts";

/** Said where there is no number. */
export const NONE = "–";

/** Between a number and its unit, which stay together. */
const NB = "\u00a0";

/** How values of a metric are said. */
export interface MetricScale {
  /** `accuracy`. */
  readonly label: string;
  /** `accuracy, %`. */
  readonly axis: string;
  /** `91.60 %`, `0.3413`. */
  value(x: number): string;
  /** `+1.82 points`, `−0.0153`. */
  difference(x: number): string;
  /** `0.50 points`. */
  size(x: number): string;
  /** `+0.51 to +3.13 points`. */
  range(interval: readonly [number, number]): string;
  /** The value without its unit, which a column's title says. */
  bare(x: number): string;
  /** Mean and half of its interval without a unit, both with the mean's digits: `85.50 ± 0.83`. */
  spread(mean: number, interval: readonly [number, number] | undefined): string;
  /** The number that an axis has: percent, points. */
  plain(x: number): number;
}

export function metricScale(name: string): MetricScale {
  const { label, unit } = name === "loss" ? { label: "loss", unit: "number" } : metricNamed(name);
  const isShare = unit === "share";
  const plain = (x: number): number => (isShare ? 100 * x : x);
  const digits = (x: number, beside = x): string =>
    formatNumber(plain(x), isShare ? 2 : Math.abs(beside) >= 100 ? 2 : 4);
  const unitWord = isShare ? `${NB}points` : "";
  return {
    label,
    axis: isShare ? `${label}, %` : label,
    plain,
    value: (x) => (Number.isNaN(x) ? NONE : `${minus(digits(x))}${isShare ? `${NB}%` : ""}`),
    bare: (x) => minus(digits(x)),
    spread: (mean, interval) =>
      interval === undefined
        ? minus(digits(mean))
        : `${minus(digits(mean))} ± ${digits((interval[1] - interval[0]) / 2, mean)}`,
    difference: (x) => `${signed(digits(x))}${unitWord}`,
    size: (x) => `${digits(x)}${unitWord}`,
    range: ([low, high]) => `${signed(digits(low))} to ${signed(digits(high))}${unitWord}`,
  };
}

/** `+0.18`, `−1.20`. */
export function signed(digits: string): string {
  return digits.startsWith("-") ? minus(digits) : digits === NONE ? digits : `+${digits}`;
}

function minus(digits: string): string {
  return digits.replace(/^-/, "−");
}

/** A probability: `0.036`, `< 0.001`. */
export function probability(p: number | undefined): string {
  if (p === undefined) return NONE;
  return p < 0.001 ? "< 0.001" : p > 0.999 ? "1" : formatNumber(p, 3);
}

/** `p = 0.036`, `p < 0.001`. */
export function pWords(p: number): string {
  const words = probability(p);
  return `p${NB}${words.startsWith("<") ? words.replace(" ", NB) : `=${NB}${words}`}`;
}

/** A standardized effect. */
export function effect(d: number | undefined): string {
  return d === undefined || !Number.isFinite(d) ? NONE : minus(formatNumber(d, 2));
}

/** A correlation. */
export function correlation(r: number): string {
  return minus(formatNumber(r, 2));
}

/** `+80.9 %`. */
export function change(ratio: number): string {
  return `${signed(formatNumber(100 * ratio, 1))}${NB}%`;
}

export function changeRange([low, high]: readonly [number, number]): string {
  return low === high ? change(low) : `${signed(formatNumber(100 * low, 1))} to ${change(high)}`;
}

/** `12,345`, or `12,000 to 12,345` where seeds decide. */
export function countRange([least, most]: readonly [number, number]): string {
  return least === most ? formatCount(least) : `${formatCount(least)} to ${formatCount(most)}`;
}

/** A mark of an axis: `300 k`, `2 M`. */
export function shortCount(count: number): string {
  const [unit, word] = count >= 1e6 ? [1e6, `${NB}M`] : count >= 1e3 ? [1e3, `${NB}k`] : [1, ""];
  return `${Number((count / unit).toPrecision(4))}${word}`;
}

export function bytes(count: number): string {
  return formatBytes(count).replace(" ", NB);
}

/** `194.8 MiB to 195.0 MiB`; what reads alike is said once. */
export function bytesRange([least, most]: readonly [number, number]): string {
  return bytes(least) === bytes(most) ? bytes(least) : `${bytes(least)} to ${bytes(most)}`;
}

/** Decimal, as the original said it: `17.3 GB`. */
export function gigabytes(count: number): string {
  return `${formatNumber(count / 1e9, 1)}${NB}GB`;
}

/** One step: `12.3 ms`, `0.61 s`. */
export function stepTime(seconds: number): string {
  return seconds < 0.1 ? `${formatNumber(1000 * seconds, 1)}${NB}ms` : `${formatNumber(seconds, 3)}${NB}s`;
}

/** A whole run. */
export function runTime(seconds: number): string {
  if (seconds < 60) return `${formatNumber(seconds, 1)}${NB}s`;
  return seconds < 5400 ? `${formatNumber(seconds / 60, 1)}${NB}min` : `${formatNumber(seconds / 3600, 1)}${NB}h`;
}

/** A learning rate: `2e-3`. */
export function rate(lr: number): string {
  return lr
    .toExponential()
    .replace("e+0", "")
    .replace(/e([+-])0?/, "e$1");
}

/** A rank, a mean of ranks. */
export function rank(value: number): string {
  return String(Number(value.toFixed(1)));
}

/** `1 seed`, `5 seeds`. */
export function counted(n: number, word: string): string {
  return `${formatCount(n)} ${word}${n === 1 ? "" : "s"}`;
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(words: readonly string[]): string {
  return words.length < 2 ? (words[0] ?? "") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)!}`;
}

/** As much of a content hash as tells one version of the code from another. */
export function shortCode(code: string): string {
  return code.slice(0, 12);
}
