/** One run after the other, in this process: they share a device, its plans and the prepared data. */
import type { Executor } from "../records/executor.ts";

export const inProcess: Executor = {
  name: "in-process",
  async *execute(jobs, attempt) {
    for (const job of jobs) yield { job, outcome: await attempt(job) };
  },
};
