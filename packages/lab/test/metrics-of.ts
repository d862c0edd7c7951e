/** Metrics of labels in one piece, as results hold them. */
import { metrics } from "../src/metrics/registry.ts";
import { measured, type Metric } from "../src/records/metric.ts";

export function metricsOf(
  predicted: readonly number[],
  labels: readonly number[],
  classes: number,
  names: readonly string[] = ["accuracy", "f1"],
): Record<string, unknown> {
  const wanted = names.map((name) => metrics.get(name));
  const counts = wanted.map((metric): [Metric, unknown] => [
    metric,
    metric.update(undefined, { predicted, labels, classes }),
  ]);
  return measured(wanted, new Map(counts));
}
