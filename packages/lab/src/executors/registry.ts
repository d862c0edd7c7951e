/** The executors there are: a file beside this one and a line here; programs and plugins add theirs with `executors.register`. */
import type { Executor } from "../records/executor.ts";
import { Registry } from "../records/registry.ts";
import { bullmq } from "./bullmq.ts";
import { inProcess } from "./in-process.ts";
import { local } from "./local.ts";
import { slurm } from "./slurm.ts";

export const executors: Registry<Executor> = new Registry<Executor>("executor", [
  // the usual
  inProcess,
  local,
  bullmq,
  slurm,
]);
