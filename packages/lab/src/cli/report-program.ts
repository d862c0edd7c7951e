/** Options of `lowrank report`. */
import type { Command } from "commander";
import { collect, parsePath, type Exit } from "./options.ts";
import type { ReportOptions } from "./report-command.ts";

export function addReport(program: Command, exit: Exit): void {
  program
    .command("report")
    .description(
      "what finished runs say: one page that needs nothing else, Markdown, figures, tables, a verdict for each claim",
    )
    .argument(
      "<runs>",
      'folder with runs, as "lowrank run" had it as --out, or with result lines (*.jsonl)',
      parsePath("runs"),
    )
    .argument("[studies...]", "files or presets of the studies that the runs are of, with the claims to decide")
    .requiredOption(
      "--out <dir>",
      "folder for report.html, report.md, claims.csv, runs.csv and figures/",
      parsePath("--out"),
    )
    .option(
      "--measured <file>",
      "figures that a bench measured, for claims about memory and time; may be repeated",
      collect,
    )
    .option("--plugin <file>", "module that adds the tasks, metrics or methods of a study; may be repeated", collect)
    .addHelpText(
      "after",
      `
The page needs no network, no script and no other file. Runs of two versions of the code are never compared: each has its own tables.
Below three seeds there is no p-value, and the report says so. A run that is not what was written ends the command.

Examples:
  lowrank report runs/demo --out runs/demo/report
  lowrank report runs/sst2 my-study.yaml --out report
  lowrank report experiments/rank-allocation/results experiments/rank-allocation/sst2.yaml --measured measured.json --out report
`,
    )
    .action(async (runs: string, studies: string[], options: ReportOptions) => {
      const { reportCommand } = await import("./report-command.ts");
      exit(await reportCommand(runs, studies, options));
    });
}
