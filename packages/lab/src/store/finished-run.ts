/** A finished run as its folder tells it, held against its digests. */
import { join } from "node:path";
import { quote } from "@lowrank/tensor";
import { parseJson } from "@lowrank/tensor/check";
import type { ResolvedConfig } from "../config/study.ts";
import { validate } from "../config/validate.ts";
import { readText, statOf } from "../data/read-file.ts";
import { asInput, InputError } from "../errors.ts";
import { methods } from "../methods/registry.ts";
import { checkDigests, requireListed, SUMS } from "./digests.ts";
import { measuresSchema, type FinishedRun } from "./measures.ts";
import { configSchema, resultSchema } from "./result-schema.ts";
import { isListed, textIn } from "./run-files.ts";

export const RESULT = "result.json";
export const MEASURES = "measures.json";
export const CONFIG = "config.json";
export const ENVIRONMENT = "env.json";
/** Folder in an adapter's run with the base that was drawn for it. */
export const BASE = "base";
/** What is told of a run is in these. */
const BRIEF: readonly string[] = [RESULT, MEASURES, CONFIG];

/**
 * @param brief the content of what is told is checked; of weights and predictions only that they are there
 * @throws InputError where the folder is not what the run wrote
 */
export function readFinished(folder: string, name: string, brief = false): FinishedRun | undefined {
  const isRead = (file: string): boolean => !brief || BRIEF.includes(file);
  const fix = "move the folder away or delete it, and the run is made again";
  if (!hasResult(folder)) {
    // what was finished once is no folder of somebody else's
    if (listsResult(folder)) throw new InputError(`${folder}: ${RESULT} is missing; ${fix}`);
    return undefined;
  }
  const listed = checkDigests(folder, fix, isRead);
  requireListed(folder, listed, [RESULT], fix);
  const said = readJson(join(folder, RESULT));
  const result = validate(resultSchema, said, join(folder, RESULT));
  // runs of earlier versions have their measures in the result
  const measured = typeof said === "object" && said !== null && "seconds" in said ? RESULT : MEASURES;
  requireListed(folder, listed, [CONFIG, measured], fix);
  const { study, seed: _, ...resolved } = validate(configSchema, readJson(join(folder, CONFIG)), join(folder, CONFIG));
  requireListed(folder, listed, filesOf(result.method, resolved), fix);
  if (result.name !== name)
    throw new InputError(`${folder}: is a copy of the run ${quote(result.name)} under another name; ${fix}`);
  const at = join(folder, measured);
  return { ...result, study, resolved, measures: validate(measuresSchema, readJson(at), at) };
}

export function hasResult(folder: string): boolean {
  return statOf(join(folder, RESULT)) !== undefined;
}

function listsResult(folder: string): boolean {
  return isListed(textIn(folder, SUMS), RESULT);
}

/** What every finished run of the method has; of a method that is not known here, what every run has. */
function filesOf(method: string, resolved: Pick<ResolvedConfig, "base">): string[] {
  const leaves = methods.has(method) ? methods.get(method).leaves : undefined;
  const weights = ["config.json", "model.safetensors"];
  const trained = {
    adapter: [
      "adapter/adapter_config.json",
      "adapter/adapter_model.safetensors",
      ...(resolved.base === null ? weights.map((file) => `${BASE}/${file}`) : []),
    ],
    checkpoint: weights.map((file) => `checkpoint/${file}`),
    none: [],
  }[leaves ?? "none"];
  return [CONFIG, ENVIRONMENT, "events.jsonl", "metrics.csv", "predictions.jsonl", ...trained];
}

/** A result of a hundred modules has 100 kB. */
const LARGEST_RESULT = 2 ** 26;

function readJson(path: string): unknown {
  return asInput(() => parseJson(readText(path, LARGEST_RESULT), path));
}
