/** The executors there are: a file beside this one and a line here; programs and plugins add theirs with `executors.register`. */
import type { Executor } from "../records/executor.ts";
import { Registry } from "../records/registry.ts";
import { inProcess } from "./in-process.ts";

export const executors: Registry<Executor> = new Registry<Executor>("executor", [
  // the usual
  inProcess,
]);
