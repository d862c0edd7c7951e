/** Options of the commands that look at what runs left: `ls`, `show`, `compare`, `gc`. */
import type { Command } from "commander";
import { RUN_STATES } from "../store/read-runs.ts";
import type { CompareOptions } from "./compare-command.ts";
import type { GcOptions } from "./gc-command.ts";
import type { LsOptions } from "./ls-command.ts";
import { parsePath, type Exit } from "./options.ts";
import type { ShowOptions } from "./show-command.ts";

const OUT = "folder with runs, or with several such folders";

export function addStore(program: Command, exit: Exit): void {
  addLs(program, exit);
  addShow(program, exit);
  addCompare(program, exit);
  addGc(program, exit);
}

function addLs(program: Command, exit: Exit): void {
  program
    .command("ls")
    .description("list runs: finished, working, interrupted, failed, damaged")
    .option("--out <dir>", OUT, parsePath("--out"), "runs")
    .option("--config <list>", "only these configs, comma-separated")
    .option("--state <list>", `only these states, comma-separated: ${RUN_STATES.join(", ")}`)
    .option("--sort <key>", "name, loss, step, seconds, changed, or a metric such as accuracy; the best first", "name")
    .option("--json", "print JSON instead of a table")
    .addHelpText(
      "after",
      `
Says who makes a run that is being made, and how far it is. Digests are not checked: "lowrank show" does that.

Examples:
  lowrank ls
  lowrank ls --out runs/demo --state working,failed
  lowrank ls --out runs/demo --config b-fp,b-ada --sort accuracy
  lowrank ls --json
`,
    )
    .action(async (options: LsOptions) => {
      const { lsCommand } = await import("./ls-command.ts");
      exit(lsCommand(options));
    });
}

function addShow(program: Command, exit: Exit): void {
  program
    .command("show")
    .description("all of one run: result, proofs, warnings, what it took, ranks, resolved config, files")
    .argument("<run>", "the run's name, or a beginning that only one has", parsePath("run"))
    .option("--out <dir>", OUT, parsePath("--out"), "runs")
    .option("--json", "print JSON instead of text")
    .addHelpText(
      "after",
      `
The files of a finished run are checked by their digests. The exit code is 2 where they are not what was written.

Examples:
  lowrank show b-ada-s13
  lowrank show b-ada-s13 --out runs/demo --json
`,
    )
    .action(async (run: string, options: ShowOptions) => {
      const { showCommand } = await import("./show-command.ts");
      exit(showCommand(run, options));
    });
}

function addCompare(program: Command, exit: Exit): void {
  program
    .command("compare")
    .description("two runs: what differs in their configs, metrics and predictions")
    .argument("<run>", "the first run's name, or a beginning that only one has", parsePath("run"))
    .argument("<other>", "the second run's", parsePath("other"))
    .option("--out <dir>", OUT, parsePath("--out"), "runs")
    .option("--all", "list also what is equal")
    .option("--json", "print JSON instead of text")
    .addHelpText(
      "after",
      `
Differences are the second run minus the first. Where predictions have labels, McNemar's exact test says whether one is right more often;
that is about these items and these two runs, not about what other seeds would give.

Examples:
  lowrank compare b-fp-s13 b-ada-s13
  lowrank compare b-fp-s13 b-fp-s42 --out runs/demo --json
`,
    )
    .action(async (run: string, other: string, options: CompareOptions) => {
      const { compareCommand } = await import("./compare-command.ts");
      exit(await compareCommand(run, other, options));
    });
}

function addGc(program: Command, exit: Exit): void {
  program
    .command("gc")
    .description("remove what no run needs any more: failed, set-aside and left-over folders")
    .option("--out <dir>", OUT, parsePath("--out"), "runs")
    .option("--interrupted", "also runs that could go on")
    .option("--dry-run", "only say what would be removed (without a terminal the default)")
    .option("--yes", "remove without asking")
    .option("--json", "print JSON instead of text")
    .addHelpText(
      "after",
      `
Finished runs stay as they are; damaged folders and those that are not of runs are never touched, nor what a living process holds.

Examples:
  lowrank gc
  lowrank gc --out runs/demo --yes
  lowrank gc --out runs/demo --interrupted --dry-run
`,
    )
    .action(async (options: GcOptions) => {
      const { gcCommand } = await import("./gc-command.ts");
      exit(await gcCommand(options));
    });
}
