/** The sinks there are: a file beside this one and a line here; programs and plugins add theirs with `sinks.register`. */
import { Registry } from "../records/registry.ts";
import type { SinkRecord } from "../records/sink.ts";
import { csv } from "./csv.ts";
import { mlflow } from "./mlflow.ts";
import { steps } from "./steps.ts";
import { tensorboard } from "./tensorboard.ts";

/** Those that every run has; they write into its folder. */
export const LOCAL: readonly SinkRecord[] = [csv, steps];

export const sinks: Registry<SinkRecord> = new Registry<SinkRecord>("sink", [
  // whether they are asked for or not
  ...LOCAL,
  tensorboard,
  mlflow,
]);
