/** The queue in Redis or Valkey by which `run --executor bullmq` and `lowrank worker` speak: names, connections, what a job holds. */
import type * as Bull from "bullmq";
import { InputError } from "../errors.ts";
import type { Report } from "../records/executor.ts";
import { cut } from "../text/shown.ts";

export const QUEUE = "lowrank";

/** What a job of the queue holds; its id is the run's. */
export interface QueuedJob {
  readonly name: string;
  readonly label: string;
  readonly order: object;
  /** Folder of the study, where its order comes from. */
  readonly out: string;
  /** Jobs that must have come to an end before. */
  readonly needs: readonly { readonly id: string; readonly name: string }[];
  /** What came of runs that it needs and that are in no queue. */
  readonly known?: Readonly<Record<string, Report>>;
  /** Of one that failed. */
  readonly failed?: Report;
}

/** What a finished job holds. */
export interface MadeJob {
  readonly report: Report;
  /** Where the run's folder is. */
  readonly host: string;
  readonly out: string;
}

/** Connections and retries; a lost connection is made again for as long as it takes. */
export function connection(url: string): Bull.ConnectionOptions {
  return { url, maxRetriesPerRequest: null, retryStrategy: (times: number) => Math.min(100 * times, 2000) };
}

/** The package, which is no dependency of those who do not use it. @throws InputError where it is not installed */
export async function loadBullmq(): Promise<typeof Bull> {
  try {
    await import("ioredis");
    return await import("bullmq");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new InputError("queues in Redis need two packages that are not installed: npm install bullmq ioredis", {
      cause: error,
    });
  }
}

/** @throws InputError where nobody answers at the URL */
export async function requireRedis(url: string | undefined): Promise<string> {
  if (url === undefined)
    throw new InputError("--redis is missing: the URL of a Redis or Valkey, such as redis://127.0.0.1:6379");
  if (!/^(rediss?|valkeys?|unix):\/\//.test(url))
    throw new InputError(`--redis ${cut(url)}: expected a URL such as redis://127.0.0.1:6379`);
  await loadBullmq();
  const { Redis } = await import("ioredis");
  const client = new Redis(url.replace(/^valkey/, "redis"), {
    lazyConnect: true,
    connectTimeout: 5000,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  let why = "no answer";
  client.on("error", (error: NodeJS.ErrnoException) => (why = error.code ?? error.message));
  try {
    await client.connect();
    await client.ping();
  } catch (error) {
    throw new InputError(`--redis ${shown(url)}: cannot be reached (${why}); is a Redis or Valkey running there?`, {
      cause: error,
    });
  } finally {
    client.disconnect();
  }
  return url.replace(/^valkey/, "redis");
}

/** Without the password. */
export function shown(url: string): string {
  return cut(url.replace(/\/\/[^@/]*@/, "//…@"));
}
