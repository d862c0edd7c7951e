/** `lowrank worker`: makes runs that `lowrank run --executor bullmq` put into a queue, until it is stopped. */
import { resolve } from "node:path";
import { availableParallelism } from "node:os";
import { startWorker } from "../executors/worker.ts";
import { loadPlugins } from "../plugins/load.ts";
import { ourCommand } from "./our-command.ts";

export interface WorkerCommandOptions {
  readonly redis?: string;
  readonly out?: string;
  readonly jobs?: number;
  readonly threads?: number;
  readonly patience?: number;
  readonly plugin?: string[];
  readonly quiet?: boolean;
}

/** Seconds; a lock is renewed at half of it. */
const PATIENCE = 30;

export async function workerCommand(options: WorkerCommandOptions): Promise<number> {
  // what they cannot be loaded for is said before work begins
  await loadPlugins(options.plugin ?? []);
  const { jobs = 1, quiet = false } = options;
  const say = (line: string): void => void (quiet || process.stderr.write(`${line}\n`));
  const stop = await startWorker({
    redis: options.redis,
    out: options.out === undefined ? undefined : resolve(options.out),
    jobs,
    threads: options.threads ?? Math.max(1, Math.floor(availableParallelism() / jobs)),
    patience: options.patience ?? PATIENCE,
    command: ourCommand(options.plugin ?? []),
    say,
  });
  return new Promise((done) => {
    let asked = false;
    const handle = (name: string, code: number) => (): void => {
      // a second one leaves at once
      if (asked) process.exit(code);
      asked = true;
      process.stderr.write(`lowrank: stopped by ${name}; what was being made is given back to the queue\n`);
      void stop().then(
        () => done(code),
        () => process.exit(code),
      );
    };
    for (const [name, code] of [
      ["SIGHUP", 129],
      ["SIGINT", 130],
      ["SIGTERM", 143],
    ] as const)
      process.on(name, handle(name, code));
  });
}
