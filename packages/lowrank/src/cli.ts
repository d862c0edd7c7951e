#!/usr/bin/env node
/** The `lowrank` command: importing it runs it. */
import "@lowrank/lab/cli";
