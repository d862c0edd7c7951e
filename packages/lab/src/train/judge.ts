/** By what one evaluation is better than another: a metric of the run, or the loss. */
import { metricOf } from "../metrics/of-evaluation.ts";
import { isBetter, type Metric } from "../records/metric.ts";
import type { Evaluation } from "../store/result.ts";

export type Judge = Pick<Metric, "name" | "better">;

export const LOSS: Judge = { name: "loss", better: "lower" };

/** @param name as `train.earlyStop.metric` has it. Default: the first metric; the loss where there is none */
export function judgeOf(metrics: readonly Metric[], name?: string): Judge {
  return metrics.find((metric) => metric.name === (name ?? metrics[0]?.name)) ?? LOSS;
}

/** The best, and of equals the first. A value that is no number is better than nothing only. */
export function bestOf<E extends Evaluation>(judge: Judge, evaluations: readonly E[]): E {
  return evaluations.reduce((a, b) => {
    const [before, now] = [metricOf(a, judge.name), metricOf(b, judge.name)];
    return isBetter(judge, now, before) || (Number.isNaN(before) && !Number.isNaN(now)) ? b : a;
  });
}
