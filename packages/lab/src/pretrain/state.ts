/**
 * Resumable training state in `<out>/state`: parameters, optimizer moments, counters. Replaced as a whole folder by renames,
 * so there is always one complete state however the process ends.
 */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openFile, SafetensorsFile, serialize, type StoredTensor } from "@lowrank/tensor";
import { parseJson } from "@lowrank/tensor/check";
import { z } from "zod";
import { validate } from "../config/validate.ts";
import { readText } from "../data/read-file.ts";
import { asInput, InputError } from "../errors.ts";
import type { Json, Saved } from "../train/state.ts";
import { checkDigests, requireListed, writeDigests } from "../store/digests.ts";

export interface Counters {
  /** Identity of config, data and code kind; a state of another identity is refused. */
  readonly identity: string;
  readonly step: number;
  /** Seconds of training so far. */
  readonly seconds: number;
  readonly tokens: number;
  readonly finished: boolean;
  /** The small values of the training's state, part by part. */
  readonly values: Json;
}

const TENSORS = "tensors.safetensors";
const COUNTERS = "counters.json";

/** Writes the state durably. */
export async function saveState(
  out: string,
  { values, tensors }: Saved,
  reached: Omit<Counters, "values">,
): Promise<void> {
  const [fresh, current, previous] = [join(out, ".state-new"), join(out, "state"), join(out, ".state-previous")];
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  writeFileSync(join(fresh, TENSORS), serialize(tensors), { flush: true });
  writeFileSync(join(fresh, COUNTERS), JSON.stringify({ ...reached, values }), { flush: true });
  writeDigests(fresh);
  rmSync(previous, { recursive: true, force: true });
  if (existsSync(current)) renameSync(current, previous);
  renameSync(fresh, current);
  rmSync(previous, { recursive: true, force: true });
}

const counters = z.strictObject({
  identity: z.string(),
  step: z.number().int().min(0),
  seconds: z.number().min(0),
  tokens: z.number().int().min(0),
  finished: z.boolean(),
  values: z.looseObject({}, { error: "an older version wrote it; delete the folder to begin anew" }),
}) as unknown as z.ZodType<Counters>;
/** A regularizer and a loss for each of a million steps. */
const LARGEST_COUNTERS = 2 ** 26;

/** Counters of the state in `out`, if there is one. A crash between two renames leaves the previous state. @throws InputError for a state that is not what was written, or not of this pre-training */
export function readCounters(out: string, identity: string): Counters | undefined {
  const folder = stateFolder(out);
  if (folder === undefined) return undefined;
  const fix = "choose another folder, or delete it to begin anew";
  requireListed(folder, checkDigests(folder, fix), [COUNTERS, TENSORS], fix);
  const path = join(folder, COUNTERS);
  const read = validate(
    counters,
    asInput(() => parseJson(readText(path, LARGEST_COUNTERS), path)),
    path,
  );
  if (read.identity !== identity) {
    throw new InputError(
      `--out ${out}: holds the state of a pre-training with another configuration or other texts; choose another folder or delete ${folder}`,
    );
  }
  return read;
}

/** The state that these counters belong to. */
export async function loadState(out: string, { values }: Counters): Promise<Saved> {
  const file = await SafetensorsFile.open(await openFile(join(stateFolder(out)!, TENSORS)));
  try {
    const tensors = new Map<string, StoredTensor>();
    for (const name of file.names) tensors.set(name, await file.read(name));
    return { values, tensors };
  } finally {
    await file.close();
  }
}

function stateFolder(out: string): string | undefined {
  return ["state", ".state-previous"]
    .map((name) => join(out, name))
    .find((folder) => existsSync(join(folder, COUNTERS)));
}
