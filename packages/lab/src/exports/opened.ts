/** What is to leave: a base from wherever it is, and an adapter on it where one is given. */
import { resolve } from "node:path";
import {
  fromPretrained,
  GgufFile,
  locate,
  locateCheckpoint,
  type LoadOptions,
  type PretrainedModel,
} from "@lowrank/models";
import type { Module } from "@lowrank/nn";
import {
  holdsAdapter,
  loadAdapter,
  loadMlxAdapter,
  readAdapterConfig,
  startsFromOriginal,
  type Adapter,
} from "@lowrank/peft";
import { planQuantization } from "@lowrank/quant";
import { directory, SafetensorsFile, type Device, type Files } from "@lowrank/tensor";
import { baseWord } from "../bases/found.ts";
import { classFor } from "../bases/kind.ts";
import { revisionOf } from "../data/location.ts";
import { statOf } from "../data/read-file.ts";
import { InputError } from "../errors.ts";
import { knownModel, type KnownModel } from "./known.ts";

export interface Asked {
  /** Folder of an adapter: PEFT's, mlx-lm's, or a run that has one. */
  readonly adapter?: string | undefined;
  /** The base, as `fromPretrained` takes it. Default: what the adapter names. */
  readonly base?: string | undefined;
  readonly revision?: string | undefined;
}

/** What was asked for, found and read, but for its weights. */
export interface Sources {
  readonly files: Files | undefined;
  readonly config: Readonly<Record<string, unknown>>;
  readonly known: KnownModel | undefined;
  readonly base: string;
  readonly revision: string | undefined;
}

export interface Opened {
  readonly model: PretrainedModel;
  readonly adapter: Adapter | undefined;
  /** Where the adapter is. */
  readonly files: Files | undefined;
  readonly known: KnownModel | undefined;
  /** Whether it began from what quantizing its base had lost, and is beside the original one something else. */
  readonly fromOriginal: boolean;
  /** The base as it was named. */
  readonly base: string;
  readonly revision: string | undefined;
  /** The file that the base is, where it is a GGUF file. */
  readonly gguf: GgufFile | undefined;
  /** Where the base's tokenizer is. */
  readonly tokenizer: string;
  close(): Promise<void>;
}

const CONFIG = "adapter_config.json";
const TENSORS = "adapter_model.safetensors";

/** @throws LowrankError in one line, where there is no adapter, or nothing names a base */
export async function sourcesOf(asked: Asked): Promise<Sources> {
  const files = asked.adapter === undefined ? undefined : await adapterFolder(asked.adapter);
  const config = files === undefined ? {} : await readAdapterConfig(files);
  const known = files === undefined ? undefined : await knownModel(files);
  const revision = config["revision"] ?? known?.revision;
  return { files, config, known, ...baseOf(asked, files?.where, { ...config, revision }) };
}

/** @throws LowrankError in one line, where there is no base, or it and the adapter do not belong together */
export async function openToLeave({ files, config, known, base, revision }: Sources, device: Device): Promise<Opened> {
  const how = revisionOf({ revision });
  const task = typeof config["task_type"] === "string" ? config["task_type"] : undefined;
  const labels = files === undefined || task === undefined ? undefined : await labelsIn(files);
  const load = async (quantized: boolean): Promise<PretrainedModel> => {
    const storage = (m: Module): ReturnType<NonNullable<LoadOptions["storage"]>> => planQuantization(m).storage;
    const options = { device, dtype: "auto", ...how, ...(quantized ? { storage } : {}) } as const;
    if (known !== undefined) {
      const { config: source } = await locateCheckpoint(base, how);
      return (await fromPretrained(base, classFor(source, known.kind), { ...options, ...known.options })).model;
    }
    const words = { ...(task === undefined ? {} : { task }), ...(labels === undefined ? {} : { labels }) };
    return (await fromPretrained(base, { ...options, ...words })).model;
  };
  // beside another base than the one in four bits it is another adapter
  const original = files !== undefined && (await startsFromOriginal(files)) ? await load(false) : undefined;
  const model = await load(original !== undefined);
  const adapter =
    files === undefined
      ? undefined
      : await ("peft_type" in config ? loadAdapter : loadMlxAdapter)(model, files, {
          device,
          ...(original === undefined ? {} : { original }),
        });
  original?.dispose();
  const place = await locate(base, how);
  const isFile = place.file !== undefined && /\.gguf$/i.test(place.file);
  const gguf = isFile ? await GgufFile.open(await place.files.open(place.file!)) : undefined;
  // an adapter's own tokenizer may have words more
  const tokenizer = files !== undefined && (await files.exists("tokenizer.json")) ? files.where : base;
  return {
    model,
    adapter,
    files,
    known,
    fromOriginal: original !== undefined,
    base,
    revision,
    gguf,
    tokenizer,
    close: async () => gguf?.close(),
  };
}

/** The folder itself, or the adapter of a run. */
async function adapterFolder(path: string): Promise<Files> {
  for (const folder of [path, `${path}/adapter`]) if (await holdsAdapter(directory(folder))) return directory(folder);
  throw new InputError(
    `--adapter ${path}: there is no ${CONFIG} in it; give the folder of an adapter, or of a run that has one`,
  );
}

/** What a person said, else what the adapter names: beside the adapter, from here, or elsewhere. */
function baseOf(
  { base, revision, adapter }: Asked,
  where: string | undefined,
  config: Readonly<Record<string, unknown>>,
): { readonly base: string; readonly revision: string | undefined } {
  if (base !== undefined) return { base: baseWord(base), revision };
  const named = config["base_model_name_or_path"];
  if (typeof named !== "string" || named === "")
    throw new InputError(
      adapter === undefined
        ? "there is nothing to work on; give --base, --adapter, or both"
        : `--adapter ${adapter}: its ${CONFIG} names no base; give --base`,
    );
  const said = config["revision"];
  const beside = resolve(where!, named);
  const found = statOf(beside) === undefined ? baseWord(named) : beside;
  return { base: found, revision: revision ?? (typeof said === "string" && said !== "" ? said : undefined) };
}

/** How many labels the adapter's own head has, where it brings one. */
async function labelsIn(files: Files): Promise<number | undefined> {
  if (!(await files.exists(TENSORS))) return undefined;
  const source = await files.open(TENSORS);
  try {
    const file = await SafetensorsFile.open(source);
    const head = file.names.find(
      (name) => /\.(classifier|score|out_proj)(\.out_proj)?\.weight$/.test(name) && !/\.lora_/.test(name),
    );
    return head === undefined ? undefined : file.info(head).shape[0];
  } finally {
    await source.close?.();
  }
}
