/** `adapter_config.json` as Python's PEFT reads and writes it: the keys that all methods share; the others are the method's. Keys we do not know survive a round trip. */
import { LowrankError, quote } from "@lowrank/tensor";
import {
  absent,
  checkFile,
  fields,
  flag,
  listOf,
  name,
  nearestName,
  oneOf,
  text,
  type Rules,
} from "@lowrank/tensor/check";
import { CONFIG_FILE, MODULE_NAMES, said, sortedNames } from "./methods/file-parts.ts";
import { TASK_TYPES, type AdapterConfig, type Method, type TaskType } from "./methods/method.ts";
import { methodOfFile, peftTypes } from "./methods/registry.ts";

/** Keys of every method, where they are neither absent nor null. */
interface CommonFile {
  readonly target_modules?: string | readonly string[];
  readonly modules_to_save?: readonly string[];
  readonly task_type?: TaskType;
  readonly inference_mode?: boolean;
  readonly base_model_name_or_path?: string;
}

const COMMON: Rules<CommonFile> = {
  target_modules: absent(MODULE_NAMES),
  modules_to_save: absent(listOf(name)),
  task_type: absent(oneOf(...TASK_TYPES)),
  inference_mode: absent(flag),
  base_model_name_or_path: absent(text),
};

/** Fields of PEFT's PeftConfig that change nothing by themselves. */
const HARMLESS = ["auto_mapping", "peft_type", "peft_version", "revision"];

/** Keys of a file that no field of PEFT's class has: PEFT warns of them and goes on without. */
export function strangeKeys({ file }: Method, source: Readonly<Record<string, unknown>>): string[] {
  const known = [
    ...Object.keys(COMMON),
    ...Object.keys(file.rules),
    ...file.notBuilt.map(([key]) => key),
    ...file.harmless,
    ...HARMLESS,
  ];
  return Object.keys(source)
    .filter((key) => !known.includes(key))
    .map((key) => {
      const { meant = {}, className } = file;
      const near = Object.hasOwn(meant, key) ? meant[key] : nearestName(key, known);
      return `${CONFIG_FILE}: ${quote(key)} is no field of PEFT's ${className} and is ignored${near === undefined ? "" : `; did you mean "${near}"?`}`;
    });
}

/** What a file without `peft_type` may be. */
function otherFormat(source: Readonly<Record<string, unknown>>): string {
  if ("fine_tune_type" in source || "lora_parameters" in source)
    return "the file is mlx-lm's; read it with loadMlxAdapter";
  if ("config" in source && ("model_name" in source || "hidden_size" in source))
    return "the file looks like AdapterHub's, whose adapters are not built";
  return "PEFT writes it into every file";
}

/**
 * Reads the object of an `adapter_config.json`. What matches nothing in a model will be a warning, since PEFT has trained with it.
 * @throws LowrankError (FormatError) on what is no such file, (NotBuiltError) on methods and switches that are not built
 */
export function parseAdapterConfig(source: Readonly<Record<string, unknown>>): AdapterConfig {
  if (typeof source !== "object" || source === null || Array.isArray(source))
    throw new LowrankError("FormatError", `${CONFIG_FILE}: must be an object, got ${quote(source)}`);
  const type = source["peft_type"];
  if (type === undefined || type === null)
    throw new LowrankError("FormatError", `${CONFIG_FILE}: there is no "peft_type"; ${otherFormat(source)}`);
  const method = methodOfFile(source);
  if (method === undefined)
    throw new LowrankError(
      "NotBuiltError",
      `${CONFIG_FILE}: peft_type ${quote(type)} is not built; there are ${peftTypes().join(", ")}`,
    );
  for (const [key, set] of method.file.notBuilt)
    if (set(source[key]))
      throw new LowrankError("NotBuiltError", `${CONFIG_FILE}: "${key}": ${quote(source[key])} is not built`);
  const shape = fields<CommonFile>({ ...COMMON, ...method.file.rules }, { unknown: "keep" });
  const file = checkFile(CONFIG_FILE, shape, source);
  return method.parse(file, {
    targetModules: said(file.target_modules),
    modulesToSave: file.modules_to_save ?? [],
    taskType: file.task_type,
    onUnmatchedPattern: "warn",
    source,
  });
}

/** What a file says of an adapter beyond its configuration. */
export interface WrittenFacts {
  /** Where the base came from. Without it a file's own word stays, else null. */
  readonly baseModel?: string | undefined;
  /** Which revision of it. */
  readonly revision?: string | undefined;
  /** Whether the adapted layers store their weight [in, out]. */
  readonly fanInFanOut?: boolean;
}

/** The object to write, sorted as PEFT sorts its fields. */
export function adapterConfigFile(
  config: AdapterConfig,
  { baseModel, revision, fanInFanOut }: WrittenFacts = {},
): Record<string, unknown> {
  const { method, source } = config;
  const keys: Record<string, unknown> = {
    auto_mapping: null,
    base_model_name_or_path: null,
    fan_in_fan_out: false,
    peft_version: "0.14.0",
    revision: null,
    ...source,
    ...(baseModel === undefined ? {} : { base_model_name_or_path: baseModel }),
    ...(revision === undefined ? {} : { revision }),
    ...(fanInFanOut === undefined ? {} : { fan_in_fan_out: fanInFanOut }),
    peft_type: method.peftType,
    inference_mode: true,
    target_modules: sortedNames(config.targetModules),
    modules_to_save: config.modulesToSave.length === 0 ? null : config.modulesToSave,
    task_type: config.taskType ?? null,
    ...method.write(config),
  };
  return Object.fromEntries(Object.entries(keys).sort(([a], [b]) => (a < b ? -1 : 1)));
}
