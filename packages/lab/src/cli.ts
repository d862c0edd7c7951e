#!/usr/bin/env node
/** The `lowrank` command: importing it runs it, which is what the package `lowrank` does for its `bin`. */
import { main } from "./cli/main.ts";
import { guardOutputs } from "./cli/signals.ts";

guardOutputs();
process.exitCode = await main(process.argv.slice(2));
