/** The commands that make what another one planned: `worker`, and `make` for our own processes. */
import type { Command } from "commander";
import type { MakeOptions } from "./make-command.ts";
import { collect, parseCount, parsePath, parsePositive, type Exit } from "./options.ts";
import type { WorkerCommandOptions } from "./worker-command.ts";

export function addWork(program: Command, exit: Exit): void {
  program
    .command("worker")
    .description("make runs that `lowrank run STUDY --executor bullmq` put into a queue, until it is stopped")
    .requiredOption(
      "--redis <url>",
      "the queue: a Redis or Valkey, such as redis://127.0.0.1:6379",
      parsePath("--redis"),
    )
    .option(
      "--out <dir>",
      "folder for runs (default: the study's own, which several workers share)",
      parsePath("--out"),
    )
    .option("--jobs <n>", "runs at a time (default: 1)", parseCount("--jobs"))
    .option("--threads <n>", "worker threads of each run (default: all cores, shared out)", parseCount("--threads"))
    .option(
      "--patience <seconds>",
      "how long a worker may say nothing before its run is taken over (default: 30)",
      parsePositive("--patience"),
    )
    .option("--plugin <file>", "as the study was submitted with; may be repeated", collect)
    .option("--quiet", "say nothing on stderr")
    .addHelpText(
      "after",
      `
Needs the packages bullmq and ioredis. A run is computed by a process of its own, so that this one keeps its hold on the job. What a worker that is
killed was making is taken over by another, and committed once. Redis keeps the queue over a restart where it writes to disk (appendonly yes).
Whoever can write to the queue decides what is run and into which folder: keep Redis to yourself.
Ctrl-C gives back what is being made; twice leaves at once.

Examples:
  lowrank worker --redis redis://127.0.0.1:6379
  lowrank worker --redis redis://:PASSWORD@host:6379 --out /shared/runs/mine --jobs 2
`,
    )
    .action(async (options: WorkerCommandOptions) => {
      const { workerCommand } = await import("./worker-command.ts");
      exit(await workerCommand(options));
    });
  program
    .command("make", { hidden: true })
    .argument("[names...]")
    .option("--order <file>", "what was ordered", parsePath("--order"))
    .option("--threads <n>", "worker threads", parseCount("--threads"))
    .option("--plugin <file>", "as the study was ordered with; may be repeated", collect)
    .action(async (names: string[], options: MakeOptions) => {
      const { makeCommand } = await import("./make-command.ts");
      exit(await makeCommand(names, options));
    });
}
