/** Adapter directories: `adapter_config.json` and `adapter_model.safetensors`. */
import {
  encodeUtf8,
  LowrankError,
  quote,
  SafetensorsFile,
  writeSafetensors,
  type Files,
  type WritableFiles,
} from "@lowrank/tensor";
import {
  anyOf,
  checkOptions,
  fields,
  flag,
  mapOf,
  name,
  oneOf,
  optional,
  parseJson,
  real,
  text,
  whole,
  type Rule,
} from "@lowrank/tensor/check";
import type { Module, Weight } from "@lowrank/nn";
import type { Adapter } from "./adapter.ts";
import { filled, plan, type AdaptOptions } from "./attach.ts";
import { modelCard, writeCard, type CardFacts, type CardSubject } from "./card.ts";
import { adapterConfigFile, parseAdapterConfig } from "./config-file.ts";
import { fitTensors, readTensors, writeTensors } from "./fit.ts";
import { CONFIG_FILE } from "./methods/file-parts.ts";
import { MEMORY } from "./memory.ts";
import { savedConfig, tensorsToSave, unmergedWhile } from "./saving.ts";
import type { ValueOptions } from "./values.ts";
import { writtenAlong } from "./written-along.ts";

export interface LoadAdapterOptions extends AdaptOptions, ValueOptions {}
export const LOAD_RULES: Rule<LoadAdapterOptions> = fields<LoadAdapterOptions>({
  ...MEMORY,
  name: optional(text),
  allowNonFinite: optional(flag),
});

export interface SaveAdapterOptions extends ValueOptions {
  /** Name or directory of the base, for `base_model_name_or_path`. Default: what the adapter's own file said, else where the model was loaded from. */
  readonly baseModel?: string;
  /** Branch, tag or commit of a base of the hub, for `revision`. Default: what the adapter's own file said. */
  readonly revision?: string;
  /**
   * Writes an adapter whose start changed its base (PiSSA, OLoRA) as it is, for whoever makes that base again out of the original one, as PEFT
   * does to rounding. Default: as a plain LoRA beside the original base, of twice the rank.
   */
  readonly keepStart?: boolean;
  /**
   * Writes the tables and output layers of the base along, PEFT's `save_embedding_layers`. Default "auto": where the vocabulary was resized
   * (`resizeTokenEmbeddings`), or a target is called `embed_tokens` or `lm_head`.
   */
  readonly saveEmbeddingLayers?: boolean | "auto";
  /** What README.md says of how the adapter came to be; false writes none. A card that a person wrote stays. */
  readonly card?: CardFacts | false;
}
const CARD: Rule<CardFacts> = fields<CardFacts>({
  data: optional(text),
  metrics: optional(mapOf(real())),
  seed: optional(whole(0)),
  command: optional(text),
});
const NO_CARD: Rule<false> = oneOf(false);
const SAVE_RULES = fields<SaveAdapterOptions>(
  {
    baseModel: optional(name),
    revision: optional(name),
    keepStart: optional(flag),
    saveEmbeddingLayers: optional(anyOf(flag, oneOf("auto" as const))),
    card: optional(anyOf(CARD, NO_CARD)) as Rule<SaveAdapterOptions["card"]>,
    allowNonFinite: optional(flag),
  },
  {
    spelt: {
      save_embedding_layers: "saveEmbeddingLayers",
      base: "baseModel",
      base_model_name_or_path: "baseModel",
      baseModelNameOrPath: "baseModel",
    },
  },
);

export const TENSORS = "adapter_model.safetensors";

/** @throws LowrankError (ConfigError) on what is no store, such as a path */
export function requireFiles(source: string, files: Files): void {
  if (typeof (files as Partial<Files> | undefined)?.exists !== "function")
    throw new LowrankError(
      "ConfigError",
      `${source}: "files" must be a store of files, such as directory(path) gives, got ${quote(files)}`,
    );
}

/** @throws LowrankError (FileError, FormatError) naming the directory */
export async function readAdapterConfig(files: Files): Promise<Record<string, unknown>> {
  requireFiles("readAdapterConfig", files);
  if (!(await files.exists(CONFIG_FILE)))
    throw new LowrankError(
      "FileError",
      `${files.where}: ${files.instead?.(CONFIG_FILE) ?? `there is no ${CONFIG_FILE}`}; give the folder that PEFT's save_pretrained wrote`,
    );
  const source = `${files.where}/${CONFIG_FILE}`;
  const value = parseJson(await files.text(CONFIG_FILE), source);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new LowrankError("FormatError", `${source}: must be an object`);
  return value as Record<string, unknown>;
}

/** Whether an adapter is right beside a base in NF4 only, which more than the numbers of its file is needed for: `loadAdapter` with `original`. */
export async function startsFromOriginal(files: Files): Promise<boolean> {
  const { init_lora_weights: start } = await readAdapterConfig(files);
  return typeof start === "string" && start.toLowerCase() === "loftq";
}

/**
 * Attaches the adapter stored in `files` to `model`, under any name; it becomes the active one. Tensors that the adapter does not need are
 * taken where the base has them (embeddings and heads that PEFT saved along), else listed in the adapter's `warnings`, as are names of the
 * configuration that match nothing.
 * @throws LowrankError where the adapter does not fit, listing what differs, and on values that are not finite; the model is then as it was
 */
export async function loadAdapter(model: Module, files: Files, where: LoadAdapterOptions): Promise<Adapter> {
  const {
    name: called = "default",
    allowNonFinite = false,
    ...memory
  } = checkOptions("loadAdapter", LOAD_RULES, where);
  requireFiles("loadAdapter", files);
  const config = parseAdapterConfig(await readAdapterConfig(files));
  if (!(await files.exists(TENSORS))) throw new LowrankError("FileError", `${files.where}: there is no ${TENSORS}`);
  const source = await files.open(TENSORS);
  try {
    const file = await SafetensorsFile.open(source);
    const adapter = plan(model, config, called);
    const fit = fitTensors(adapter, new Map(file.names.map((n) => [n, file.info(n).shape])));
    const tensors = await readTensors(fit, (n) => file.read(n), { allowNonFinite });
    await filled(adapter, async () => {
      await adapter.materialize(memory);
      adapter.baseFromFile = new Map([
        ...[...fit.places].flatMap(([name, { weight, base, dim }]): [string, Weight][] =>
          base && dim === undefined ? [[name, weight]] : [],
        ),
        ...fit.again,
      ]);
      adapter.narrowInFile = new Map(
        [...tensors].flatMap(([name, { dtype }]): [string, "f16" | "bf16"][] =>
          dtype === "f16" || dtype === "bf16" ? [[name, dtype]] : [],
        ),
      );
      adapter.warnings.push(...fit.warnings, ...(await writeTensors(fit, tensors, { allowNonFinite })));
    });
    return adapter;
  } finally {
    await source.close?.();
  }
}

/**
 * Writes what Python's PEFT writes and reads: with `embed_tokens` or `lm_head` among the targets their base weights too. Tensors are f32, or
 * what the adapter's file had where that still holds every number. A merged adapter is written as it is apart from the base; what `scaleBy`
 * did is in alpha. What a start took from the base is in the file (`keepStart`).
 * @throws LowrankError where PEFT could not read the same function from the file
 */
export async function saveAdapter(
  adapter: Adapter,
  files: WritableFiles,
  options: SaveAdapterOptions = {},
): Promise<void> {
  const {
    allowNonFinite = false,
    saveEmbeddingLayers = "auto",
    card,
    ...said
  } = checkOptions("saveAdapter", SAVE_RULES, options);
  requireFiles("saveAdapter", files);
  const { config, facts, beside } = savedConfig(adapter, said);
  const along = writtenAlong(adapter, saveEmbeddingLayers);
  await unmergedWhile(adapter, along, async () => {
    const tensors = await tensorsToSave(adapter, along, { allowNonFinite, beside });
    await files.write(TENSORS, (sink) =>
      writeSafetensors(sink, new Map([...tensors].map(([n, { dtype, shape }]) => [n, { dtype, shape }])), (n) =>
        tensors.get(n)!.read(),
      ),
    );
  });
  const written = adapterConfigFile(config, facts);
  const text = JSON.stringify(written, null, 2);
  await files.write(CONFIG_FILE, async (sink) => {
    await sink(encodeUtf8(text));
  });
  if (card !== false) await writeCard(files, modelCard(subjectOf(adapter, written), card));
}

/** Of what the configuration says, which may be a file's word. */
function subjectOf(adapter: Adapter, written: Readonly<Record<string, unknown>>): CardSubject {
  const said = (key: string): string | undefined =>
    typeof written[key] === "string" && written[key] !== "" ? written[key] : undefined;
  return {
    method: adapter.method.label,
    peftType: adapter.method.peftType,
    base: said("base_model_name_or_path"),
    revision: said("revision"),
    task: said("task_type"),
    parameters: adapter.report().trainable,
  };
}
