/** Jobs in an order that their needs allow, some at a time. */
import { InputError } from "../errors.ts";
import type { Executed, Job, Report } from "../records/executor.ts";

/** How long a job rests that another process makes. */
const BUSY_MS = 1000;

/**
 * Makes each job once those that it needs have come to an end, in the given order where that leaves a choice; one that another process makes is tried
 * again, after others.
 * @param places how many are made at a time; each call of `make` is told its place, 0 to places − 1
 * @throws InputError for input that is wrong for every job, once those under way have ended
 */
export async function* byNeeds(
  jobs: readonly Job[],
  places: number,
  make: (job: Job, place: number) => Promise<Report>,
  wait: (ms: number) => Promise<void> = (ms) => new Promise((done) => setTimeout(done, ms)),
): AsyncGenerator<Executed> {
  const names = new Set(jobs.map(({ name }) => name));
  const ended = new Set<string>();
  const ready = ({ needs }: Job): boolean => needs.every((name) => ended.has(name) || !names.has(name));
  const open = [...jobs];
  const free = Array.from({ length: places }, (_, place) => place);
  /** What is under way: jobs being made, and jobs that rest, which hold no place. */
  const pending = new Map<Job, Promise<{ readonly job: Job; readonly report?: Report; readonly place?: number }>>();
  let refused: string | undefined;
  while (open.length + pending.size > 0) {
    for (let at = open.findIndex(ready); at >= 0 && free.length > 0; at = open.findIndex(ready)) {
      const [job] = open.splice(at, 1) as [Job];
      const place = free.shift()!;
      pending.set(
        job,
        make(job, place).then((report) => ({ job, report, place })),
      );
    }
    if (pending.size === 0)
      throw new InputError(`jobs need each other in a circle: ${open.map(({ name }) => name).join(", ")}`);
    const { job, report, place } = await Promise.race(pending.values());
    pending.delete(job);
    if (place !== undefined) free.push(place);
    if (report === undefined) {
      if (refused === undefined) open.push(job);
    } else if (report.kind === "busy") {
      pending.set(
        job,
        wait(BUSY_MS).then(() => ({ job })),
      );
    } else if (report.kind === "refused") {
      refused ??= report.message;
      open.length = 0;
    } else {
      ended.add(job.name);
      yield { job, report };
    }
  }
  if (refused !== undefined) throw new InputError(refused);
}
