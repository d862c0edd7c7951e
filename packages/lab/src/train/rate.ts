/** The learning rate of a run that says none: its method's, for as many steps as the data makes, and for what the task asks. */
import type { ResolvedConfig } from "../config/study.ts";
import type { Method } from "../records/method.ts";
import { OTHER_RATES, rateFor } from "../records/rates.ts";
import type { TaskData } from "../records/task.ts";
import { stepsPerEpoch } from "./batches.ts";

/** Optimizer steps of a run, where nothing ends it earlier. */
export function totalSteps({ train }: Pick<ResolvedConfig, "train">, data: Pick<TaskData, "train">): number {
  return Math.max(1, Math.round(train.epochs * stepsPerEpoch(data.train, train.batchSize)));
}

export function rateOf(
  config: ResolvedConfig,
  method: Pick<Method, "rates">,
  data: Pick<TaskData, "train" | "rate">,
): number {
  return config.train.lr ?? rateFor(method.rates ?? OTHER_RATES, totalSteps(config, data), data.rate);
}

/** The config with the rate that it is run at. */
export function withRate<C extends ResolvedConfig>(
  config: C,
  method: Method,
  data: Pick<TaskData, "train" | "rate">,
): C {
  return { ...config, train: { ...config.train, lr: rateOf(config, method, data) } };
}
