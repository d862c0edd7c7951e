/** Several runs at a time on this machine, each process making one after the other: `--jobs 4`. */
import { availableParallelism } from "node:os";
import type { Executor } from "../records/executor.ts";
import { byNeeds } from "./by-needs.ts";
import { MakerProcess } from "./maker-process.ts";

/** Runs of few steps are not faster for many threads: two processes are the least that is worth their start. */
const JOBS = 2;

export const local: Executor = {
  name: "local",
  takes: ["jobs"],
  async *execute(jobs, workshop) {
    const { order, options } = workshop;
    const places = Math.min(options.jobs ?? JOBS, jobs.length);
    const threads = workshop.threads ?? Math.max(1, Math.floor(availableParallelism() / places));
    const makers = Array.from({ length: places }, () => new MakerProcess(workshop));
    try {
      yield* byNeeds(jobs, places, (job, place) => makers[place]!.make({ order, job, threads }));
    } finally {
      await Promise.all(makers.map((maker) => maker.close()));
    }
  },
};
