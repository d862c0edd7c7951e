/** How often a training is saved on its way, as options of the commands that train. */
import type { Command } from "commander";
import { InputError } from "../errors.ts";
import { cut } from "../text/shown.ts";
import { CHECKPOINT_DEFAULTS, type CheckpointWords } from "../train/checkpointing.ts";
import { parseCount } from "./options.ts";

export interface CheckpointOptions {
  /** Undefined where nobody said; null for `never`. */
  readonly checkpointEvery?: NonNullable<CheckpointWords["every"]> | null;
  readonly checkpoints?: number;
}

export function checkpointOptions(command: Command): Command {
  return command
    .option(
      "--checkpoint-every <n>",
      "save a run on its way: after so many steps (50), or so much work (90s, 5m), or never; its results are the same (default: 60s)",
      parseEvery,
    )
    .option(
      "--checkpoints <n>",
      `saved states that are kept of a run while it is made (default: ${CHECKPOINT_DEFAULTS.keep})`,
      parseCount("--checkpoints"),
    );
}

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 };

function parseEvery(value: string): CheckpointOptions["checkpointEvery"] {
  if (value === "never") return null;
  const [, count, unit] = /^(\d{1,9})([smh]?)$/.exec(value) ?? [];
  if (count === undefined || Number(count) === 0)
    throw new InputError(`--checkpoint-every ${cut(value)}: expected steps (50), a time (90s, 5m, 1h) or never`);
  return unit === "" ? { steps: Number(count) } : { seconds: Number(count) * SECONDS[unit!]! };
}

export function checkpointWords({ checkpointEvery, checkpoints }: CheckpointOptions): CheckpointWords {
  const { every, keep } = CHECKPOINT_DEFAULTS;
  return { every: checkpointEvery === undefined ? every : (checkpointEvery ?? undefined), keep: checkpoints ?? keep };
}

/** @throws InputError where a dry run is told of what it never writes */
export function refuseCheckpoints({ checkpointEvery, checkpoints }: CheckpointOptions): void {
  if (checkpointEvery !== undefined || checkpoints !== undefined)
    throw new InputError(
      "--dry-run trains nothing that --checkpoint-every or --checkpoints could be for; leave them out",
    );
}
