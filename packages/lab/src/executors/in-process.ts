/** One run after the other, in this process: they share a device, its plans and the prepared data. */
import type { Executor } from "../records/executor.ts";
import { byNeeds } from "./by-needs.ts";

export const inProcess: Executor = {
  name: "in-process",
  execute: (jobs, { attempt }) => byNeeds(jobs, 1, attempt),
};
