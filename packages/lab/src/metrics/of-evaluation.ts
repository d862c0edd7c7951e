/** The metrics of an evaluation that was stored: which there are, and how people read them. */
import type { Metric } from "../records/metric.ts";
import { formatNumber } from "../text/format.ts";
import { metrics } from "./registry.ts";

/** What every evaluation has, whatever its task. */
const COMMON: ReadonlySet<string> = new Set(["step", "epoch", "loss", "examples"]);

/** Names in the order in which the task has them; the first tells the best evaluation. */
export function metricNames(evaluation: object): string[] {
  return Object.entries(evaluation).flatMap(([name, value]) =>
    typeof value === "number" && !COMMON.has(name) ? [name] : [],
  );
}

/** Value of a metric that the evaluation has; NaN, which JSON writes as null, where there was nothing to count. */
export function metricOf(evaluation: object, name: string): number {
  const value = (evaluation as Record<string, unknown>)[name];
  return typeof value === "number" ? value : Number.NaN;
}

/** How a metric is read. A result may be older than the program, or of another's plugin: then its name is all there is. */
export function metricNamed(name: string): Pick<Metric, "name" | "label" | "better" | "unit"> {
  return metrics.has(name) ? metrics.get(name) : { name, label: name, better: "higher", unit: "number" };
}

/** Shares in percent, the rest as it is. */
export function metricScale(name: string): number {
  return metricNamed(name).unit === "share" ? 100 : 1;
}

/** `accuracy 91.60 %`, `perplexity 12.3041`. */
export function metricWords(evaluation: object, name: string): string {
  const { label, unit } = metricNamed(name);
  const value = metricOf(evaluation, name);
  return unit === "share" ? `${label} ${formatNumber(100 * value, 2)} %` : `${label} ${formatNumber(value, 4)}`;
}
