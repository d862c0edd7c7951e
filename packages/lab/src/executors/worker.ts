/**
 * Makes runs that are in a queue (`lowrank worker`). The work itself is done by another process (`maker-process.ts`): this one has nothing to do
 * but to keep its lock, which a busy event loop would lose, and the run would be made twice.
 */
import { hostname } from "node:os";
import type { Job as BullJob, Worker } from "bullmq";
import type { NodeCommand, Report } from "../records/executor.ts";
import { MakerProcess } from "./maker-process.ts";
import { connection, loadBullmq, QUEUE, requireRedis, shown, type MadeJob, type QueuedJob } from "./redis.ts";

export interface WorkerOptions {
  readonly redis: string | undefined;
  /** Where its runs go; absent: where the order says. */
  readonly out?: string | undefined;
  /** Runs at a time. */
  readonly jobs: number;
  readonly threads: number | undefined;
  /** Seconds after which a worker that says nothing counts as gone, and its run is taken over. */
  readonly patience: number;
  readonly command: NodeCommand;
  readonly say: (line: string) => void;
}

/** How long a job waits for another that is not done: one that it needs, or the same one made by somebody else. */
const AGAIN_MS = 500;
/** However often workers die with it, a job is taken over. */
const TAKEOVERS = 1000;

/** Starts to work. @returns how to stop: what is being made is given back to the queue */
export async function startWorker(options: WorkerOptions): Promise<() => Promise<void>> {
  const { jobs, patience, say } = options;
  const url = await requireRedis(options.redis);
  const { Worker: WorkerOf, DelayedError, UnrecoverableError } = await loadBullmq();
  const idle = Array.from({ length: jobs }, () => new MakerProcess(options));
  const all = [...idle];
  let stopping = false;
  const later = async (job: BullJob, token: string | undefined): Promise<never> => {
    await job.moveToDelayed(Date.now() + AGAIN_MS, token);
    throw new DelayedError();
  };
  const worker: Worker<QueuedJob, MadeJob> = new WorkerOf<QueuedJob, MadeJob>(
    QUEUE,
    async (job, token) => {
      const sources = await sourcesOf(job, worker);
      if (sources === undefined) return later(job, token);
      const maker = idle.pop()!;
      try {
        const report = await made(job, maker, sources, options);
        if (stopping || report.kind === "busy") return await later(job, token);
        if (report.kind !== "made") {
          await job.updateData({ ...job.data, failed: report });
          throw new UnrecoverableError("message" in report ? report.message : report.kind);
        }
        return { report, host: hostname(), out: options.out ?? job.data.out };
      } finally {
        idle.push(maker);
      }
    },
    {
      connection: connection(url),
      name: `${hostname()}:${process.pid}`,
      concurrency: jobs,
      lockDuration: 1000 * patience,
      stalledInterval: 500 * patience,
      maxStalledCount: TAKEOVERS,
      runRetryDelay: 1000,
      drainDelay: 1,
    },
  );
  let away = false;
  worker.on("error", (error: NodeJS.ErrnoException) => {
    if (!away) say(`the queue at ${shown(url)} is away (${error.code ?? error.message}); work goes on when it is back`);
    away = true;
  });
  worker.on("active", () => (away = false));
  await worker.waitUntilReady();
  say(`takes runs from ${shown(url)}, ${jobs} at a time`);
  return async () => {
    stopping = true;
    await Promise.all(all.map((maker) => maker.close()));
    await worker.close();
  };
}

/** What came of the jobs that it needs; undefined while one of them has not come to an end. */
async function sourcesOf(
  { data }: BullJob<QueuedJob>,
  worker: Worker,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const { Job: JobOf } = await loadBullmq();
  const sources: Record<string, unknown> = { ...data.known };
  for (const { id, name } of data.needs) {
    const state = await (await JobOf.fromId(worker as never, id))?.getState();
    if (state !== "completed" && state !== "failed") return undefined;
    // a job is what it was when it was read
    const source = await JobOf.fromId<QueuedJob, MadeJob>(worker as never, id);
    sources[name] =
      state === "failed"
        ? (source!.data.failed ?? { kind: "failed", message: source!.failedReason })
        : source!.returnvalue.report;
  }
  return sources;
}

async function made(
  { data, stalledCounter }: BullJob<QueuedJob>,
  maker: MakerProcess,
  sources: Readonly<Record<string, unknown>>,
  { out, threads, say }: WorkerOptions,
): Promise<Report> {
  if (stalledCounter > 0) say(`${data.label}: taken over from a worker that is gone`);
  return maker.make({ order: data.order, job: data, out, threads, sources });
}
