/** Options of `lowrank serve`. */
import type { Command } from "commander";
import { InputError } from "../errors.ts";
import { cut } from "../text/shown.ts";
import { parsePath, type Exit } from "./options.ts";
import type { ServeOptions } from "./serve-command.ts";

export function addServe(program: Command, exit: Exit): void {
  program
    .command("serve")
    .description("a page on this machine with all runs: live curves, ranks over time, comparisons")
    .option("--out <dir>", "folder with runs, or with several such folders", parsePath("--out"), "runs")
    .option("--port <n>", "port to listen on; 0 takes one that is free (default: 7475, or a free one)", parsePort)
    .option("--open", "open the page in the browser")
    .addHelpText(
      "after",
      `
It listens on 127.0.0.1 alone, reads and never writes, and loads nothing from elsewhere. Runs may be made meanwhile, by any process. Ctrl-C ends it.

Examples:
  lowrank serve
  lowrank serve --out runs/demo --open
  ssh -L 7475:127.0.0.1:7475 host lowrank serve --port 7475    # runs of another machine
`,
    )
    .action(async (options: ServeOptions) => {
      const { serveCommand } = await import("./serve-command.ts");
      exit(await serveCommand(options));
    });
}

function parsePort(value: string): number {
  if (!/^\d{1,5}$/.test(value) || Number(value) > 65_535)
    throw new InputError(`--port ${cut(value)}: expected a whole number from 0 to 65535`);
  return Number(value);
}
