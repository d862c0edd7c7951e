/**
 * Runs made by workers on any machine, told by a queue in Redis or Valkey (BullMQ): `lowrank run STUDY --executor bullmq --redis URL` submits and
 * waits, `lowrank worker --redis URL` makes. Ids of jobs are ids of runs, so that a run that is submitted twice is in the queue once. What came of
 * a job is asked for, not waited to be told: an answer that a restart of Redis swallowed is asked for again, and a job that it lost is put back.
 */
import { hostname } from "node:os";
import type { Job as BullJob, Queue } from "bullmq";
import type { Executed, Executor, Job, Workshop } from "../records/executor.ts";
import { connection, loadBullmq, QUEUE, requireRedis, shown, type MadeJob, type QueuedJob } from "./redis.ts";

const ASK_MS = 500;

export const bullmq: Executor = {
  name: "bullmq",
  takes: ["redis"],
  async check({ redis }) {
    await requireRedis(redis);
  },
  async *execute(jobs, workshop) {
    const url = await requireRedis(workshop.options.redis);
    const { Queue: QueueOf } = await loadBullmq();
    const queue: Queue<QueuedJob, MadeJob> = new QueueOf(QUEUE, { connection: connection(url) });
    // while Redis is away, its connection says so again and again; once it is back, work goes on
    queue.on("error", () => {});
    try {
      for (const job of jobs) await submit(queue, job, jobs, workshop);
      workshop.say(
        `${jobs.length === 1 ? "1 run is" : `${jobs.length} runs are`} in the queue at ${shown(url)}; workers are started by: lowrank worker --redis ${shown(url)}`,
      );
      yield* ended(queue, jobs, workshop);
    } finally {
      await queue.close();
    }
  },
};

/** Puts the job into the queue, unless it is there. One that failed is tried again, one whose result is gone from here made again. */
async function submit(
  queue: Queue<QueuedJob, MadeJob>,
  job: Job,
  all: readonly Job[],
  { order, out, isDone }: Workshop,
): Promise<void> {
  // a job is what it was when it was read: its state is asked for first
  const state = await queue.getJobState(job.id);
  const before = await queue.getJob(job.id);
  if (state === "failed" && before !== undefined) {
    // somebody else may have done so
    await before.retry("failed").catch(() => {});
    return;
  }
  if (state === "completed" && before !== undefined && madeHere(before.returnvalue, out) && !isDone(job))
    await before.remove().catch(() => {});
  const ids = new Map(all.map(({ name, id }) => [name, id]));
  const needs = job.needs.flatMap((name) => (ids.has(name) ? [{ name, id: ids.get(name)! }] : []));
  const { name, label, known } = job;
  const data: QueuedJob = { name, label, order, out, needs, ...(known === undefined ? {} : { known }) };
  await queue.add(name, data, { jobId: job.id, attempts: 1 });
}

function madeHere({ host, out }: MadeJob, here: string): boolean {
  return host === hostname() && out === here;
}

async function* ended(
  queue: Queue<QueuedJob, MadeJob>,
  jobs: readonly Job[],
  workshop: Workshop,
): AsyncGenerator<Executed> {
  const open = new Set(jobs);
  while (open.size > 0) {
    for (const job of open) {
      const state = await queue.getJobState(job.id);
      const queued = await queue.getJob(job.id);
      const executed = queued === undefined ? undefined : cameTo(job, queued, state, workshop);
      if (executed !== undefined) {
        open.delete(job);
        yield executed;
      } else if (queued === undefined || state === "unknown") await submit(queue, job, jobs, workshop);
    }
    await new Promise((done) => setTimeout(done, ASK_MS));
  }
}

/** What came of the job; undefined while it has not come to an end. */
function cameTo(
  job: Job,
  { returnvalue, data, failedReason }: BullJob<QueuedJob, MadeJob>,
  state: string | undefined,
  { out, say }: Workshop,
): Executed | undefined {
  if (state === "completed") {
    const where = madeHere(returnvalue, out) ? "" : `, in ${returnvalue.out}`;
    say(`${job.label}: made on ${returnvalue.host}${where}`);
    return { job, report: returnvalue.report };
  }
  if (state !== "failed") return undefined;
  say(`${job.label}: FAILED: ${failedReason}`);
  return { job, report: data.failed ?? { kind: "failed", message: failedReason } };
}
