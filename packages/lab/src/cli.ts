#!/usr/bin/env node
/** Entry of the `lowrank` command. */
import { main } from "./cli/main.ts";
import { guardOutputs } from "./cli/signals.ts";

guardOutputs();
process.exitCode = await main(process.argv.slice(2));
