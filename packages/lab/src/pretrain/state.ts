/**
 * Resumable training state in `<out>/state`: parameters, optimiser moments, counters. Replaced as a whole folder by renames,
 * so there is always one complete state however the process ends.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openFile, SafetensorsFile, serialize, type Parameter, type StoredTensor } from "@lowrank/tensor";
import { InputError } from "../errors.ts";

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

/** Writes the state durably. */
export async function saveState(out: string, tensors: StateTensors, counters: Counters): Promise<void> {
  const [fresh, current, previous] = [join(out, ".state-new"), join(out, "state"), join(out, ".state-previous")];
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  const entries = new Map<string, StoredTensor>();
  for (const [name, parameter] of tensors) entries.set(name, { dtype: parameter.dtype, shape: parameter.shape, data: await parameter.data() });
  writeFileSync(join(fresh, "tensors.safetensors"), serialize(entries), { flush: true });
  writeFileSync(join(fresh, "counters.json"), JSON.stringify(counters), { flush: true });
  rmSync(previous, { recursive: true, force: true });
  if (existsSync(current)) renameSync(current, previous);
  renameSync(fresh, current);
  rmSync(previous, { recursive: true, force: true });
}

/** Counters of the state in `out`, if there is one. A crash between two renames leaves the previous state. */
export function readCounters(out: string, identity: string): Counters | undefined {
  const folder = stateFolder(out);
  if (folder === undefined) return undefined;
  const counters = JSON.parse(readFileSync(join(folder, "counters.json"), "utf8")) as Counters;
  if (counters.identity !== identity) {
    throw new InputError(`--out ${out}: holds the state of a pre-training with another configuration or other texts; choose another folder or delete ${folder}`);
  }
  return counters;
}

/** Copies the state's values into the tensors. */
export async function loadState(out: string, tensors: StateTensors): Promise<void> {
  const file = await SafetensorsFile.open(await openFile(join(stateFolder(out)!, "tensors.safetensors")));
  for (const [name, parameter] of tensors) parameter.write((await file.read(name)).data);
  await file.close();
}

function stateFolder(out: string): string | undefined {
  return ["state", ".state-previous"].map((name) => join(out, name)).find((folder) => existsSync(join(folder, "counters.json")));
}
