/** One run after the other, in this process: they share a device, its plans and the prepared data. */
import { setTimeout as sleep } from "node:timers/promises";
import { Busy, type Executor } from "../records/executor.ts";

/** Milliseconds between two looks at runs that other processes make. */
const PAUSE = 1000;

export const inProcess: Executor = {
  name: "in-process",
  async *execute(jobs, attempt) {
    let left = [...jobs];
    while (left.length > 0) {
      const busy: typeof left = [];
      for (const job of left) {
        const outcome = await attempt(job);
        if (outcome instanceof Busy) busy.push(job);
        else yield { job, outcome };
      }
      if (busy.length === left.length) await sleep(PAUSE);
      left = busy;
    }
  },
};
