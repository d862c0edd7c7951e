#!/usr/bin/env node
/** Entry of the `lowrank` command. */
import { main } from "./cli/main.ts";

process.exitCode = await main(process.argv.slice(2));
