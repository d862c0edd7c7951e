/** How this command is started in another process: the same Node, sources or built, with the same plugins. */
import { fileURLToPath } from "node:url";
import { resolve } from "node:path";
import type { NodeCommand } from "../records/executor.ts";

/** @returns the start of `lowrank make` */
export function ourCommand(plugins: readonly string[]): NodeCommand {
  const form = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return {
    options: process.execArgv,
    script: fileURLToPath(new URL(`../cli.${form}`, import.meta.url)),
    args: ["make", ...plugins.flatMap((path) => ["--plugin", resolve(path)])],
  };
}
