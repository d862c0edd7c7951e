/**
 * Resumable training state in `<out>/state`: parameters, optimizer moments, counters. Replaced as a whole folder by renames,
 * so there is always one complete state however the process ends.
 */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openFile, SafetensorsFile, serialize, type Parameter, type StoredTensor } from "@lowrank/tensor";
import { parseJson } from "@lowrank/tensor/check";
import { z } from "zod";
import { validate } from "../config/validate.ts";
import { readText } from "../data/read-file.ts";
import { asInput, InputError } from "../errors.ts";
import { checkDigests, requireListed, writeDigests } from "../store/digests.ts";

export interface Counters {
  /** Identity of config, data and code kind; a state of another identity is refused. */
  readonly identity: string;
  readonly step: number;
  /** Seconds of training so far. */
  readonly seconds: number;
  readonly tokens: number;
  readonly finished: boolean;
}

/** Every tensor that training changes, by name. */
export type StateTensors = ReadonlyMap<string, Parameter>;

const TENSORS = "tensors.safetensors";
const COUNTERS = "counters.json";

/** Writes the state durably. */
export async function saveState(out: string, tensors: StateTensors, reached: Counters): Promise<void> {
  const [fresh, current, previous] = [join(out, ".state-new"), join(out, "state"), join(out, ".state-previous")];
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  const entries = new Map<string, StoredTensor>();
  for (const [name, parameter] of tensors)
    entries.set(name, { dtype: parameter.dtype, shape: parameter.shape, data: await parameter.data() });
  writeFileSync(join(fresh, TENSORS), serialize(entries), { flush: true });
  writeFileSync(join(fresh, COUNTERS), JSON.stringify(reached), { flush: true });
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
}) satisfies z.ZodType<Counters>;
const LARGEST_COUNTERS = 2 ** 16;

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

/** Copies the state's values into the tensors. */
export async function loadState(out: string, tensors: StateTensors): Promise<void> {
  const file = await SafetensorsFile.open(await openFile(join(stateFolder(out)!, TENSORS)));
  for (const [name, parameter] of tensors) parameter.write((await file.read(name)).data);
  await file.close();
}

function stateFolder(out: string): string | undefined {
  return ["state", ".state-previous"]
    .map((name) => join(out, name))
    .find((folder) => existsSync(join(folder, COUNTERS)));
}
