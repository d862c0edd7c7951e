#!/usr/bin/env node
/** Entry of the `lowrank` command. */
import { main } from "./cli/main.ts";
import { ignoreClosedPipes } from "./cli/signals.ts";

ignoreClosedPipes();
process.exitCode = await main(process.argv.slice(2));
