/** What lies at a place, opened: headers are read, no tensor. Config and weights of a checkpoint each may be missing, and then it is said why. */
import { LowrankError, openShards, quote, SafetensorsFile, type Files, type TensorSource } from "@lowrank/tensor";
import { text } from "@lowrank/tensor/check";
import { readOne } from "../gguf/metadata.ts";
import { asCheckpoint, openGgufFile, type OpenGguf } from "../gguf/open.ts";
import { CHECKPOINT_ENDS, endOf, findCheckpoint } from "../found.ts";
import { readConfig } from "../identity.ts";
import { ofFile, type Place } from "../places/place.ts";
import type { ConfigSource } from "../shared/config-table.ts";
import { foreignIn, openWeights, pickledIn, pickleRefusal } from "../weights-file.ts";
import type { CheckpointForm } from "./facts.ts";

/** To be closed by who opened it. */
export interface Opened {
  readonly where: string;
  /** The file of the weights, for messages. */
  readonly called: string;
  readonly form: CheckpointForm;
  readonly files: readonly string[];
  /** Tensors as the file names them. */
  readonly tensors: TensorSource | undefined;
  /** As config.json has it. */
  readonly config: ConfigSource | undefined;
  /** Weights under Hugging Face's names. */
  readonly weights: TensorSource | undefined;
  /** Why there is no config, or no weights. */
  readonly refused: string | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  readonly gguf: OpenGguf | undefined;
  close(): Promise<void>;
}

const NOTHING = {
  called: "model.safetensors",
  form: "none",
  files: [],
  tensors: undefined,
  config: undefined,
  weights: undefined,
  refused: undefined,
  metadata: {},
  gguf: undefined,
  close: () => Promise.resolve(),
} as const;

const INDEX = "model.safetensors.index.json";
const PICKLES = /\.(pt|pth|ckpt|pkl)$/i;

/** @throws LowrankError (FileError) where nothing is that can be looked into, (FormatError) where a file is damaged */
export async function open(place: Place): Promise<Opened> {
  const { files, file } = place;
  const gguf = await openGgufFile(place);
  if (gguf !== undefined) return openedGguf(gguf);
  if (file !== undefined) return openFile(files, file, place);
  if (await files.exists("config.json")) return openFolder(files);
  if (await files.exists(INDEX)) return bare(files, INDEX);
  const names = await files.list?.();
  const bins = names?.filter((name) => name.endsWith(".bin")) ?? [];
  const found = names?.filter((name) => name.endsWith(".safetensors")) ?? [];
  if (found.length === 1) return bare(files, found[0]!);
  if (found.length > 1)
    throw new LowrankError(
      "FileError",
      `${files.where}: there are ${found.length} files of tensors (${few(found)}) and no config.json; give the path of one`,
    );
  if (await files.exists("tokenizer.json")) return { ...NOTHING, where: files.where };
  const pickle = await pickledIn(files);
  if (pickle !== undefined)
    throw new LowrankError(
      "FileError",
      `${files.where}: there is no config.json, which is needed to convert the weights: ${pickle} ${pickleRefusal}`,
    );
  throw new LowrankError(
    "FileError",
    `${files.where}: there is nothing to look into: ${files.instead?.("config.json") ?? "no config.json"}, no .safetensors, no .gguf, no adapter_config.json${bins.length > 0 ? `; of ${few(bins)} give the path of one` : names === undefined ? "" : `; it has ${names.length === 0 ? "no files" : few(names)}`}`,
  );
}

function few(names: readonly string[]): string {
  return `${names.slice(0, 4).join(", ")}${names.length > 4 ? ", …" : ""}`;
}

async function openedGguf(gguf: OpenGguf): Promise<Opened> {
  const { file, where, name } = gguf;
  const metadata = Object.fromEntries(
    file.keys.flatMap((key) =>
      key.startsWith("general.") && file.kindOf(key) === "string" ? [[key, readOne(file, key, text)!] as const] : [],
    ),
  );
  const known = {
    where,
    called: name,
    form: "gguf",
    files: [name],
    tensors: file,
    metadata,
    gguf,
    close: () => file.close(),
  } as const;
  try {
    return { ...known, ...(await asCheckpoint(file)), refused: undefined };
  } catch (error) {
    return { ...known, config: undefined, weights: undefined, refused: reasonOf(error) };
  }
}

/** A file that was named. */
async function openFile(files: Files, file: string, place: Place): Promise<Opened> {
  const where = `${files.where}/${file}`;
  if (/\.safetensors$/i.test(file)) return bare(files, file);
  if (/\.safetensors\.index\.json$/i.test(file)) return bare(files, file);
  if (PICKLES.test(file)) throw new LowrankError("FileError", `${where}: ${pickleRefusal}`);
  if (!CHECKPOINT_ENDS.includes(endOf(file))) {
    const ends = [...CHECKPOINT_ENDS, ".safetensors", ".safetensors.index.json"].join(", ");
    throw new LowrankError(
      "FileError",
      `${where}: ${quote(file)} is nothing to look into by itself; give its folder, or a file that ends in ${ends}`,
    );
  }
  const { config, called, weights, close } = await findCheckpoint(place);
  const source = await weights();
  return {
    ...NOTHING,
    where,
    called,
    form: "llama2.c",
    files: [file],
    tensors: source,
    config,
    weights: source,
    close,
  };
}

async function openFolder(files: Files): Promise<Opened> {
  const { where } = files;
  const config = await readConfig(files);
  const pickle = await pickledIn(files);
  const plain = (await files.exists("model.safetensors")) ? "model.safetensors" : undefined;
  if (plain === undefined && !(await files.exists(INDEX))) {
    const why =
      (await foreignIn(files))?.message ??
      (pickle === undefined ? "there are no weights beside config.json" : `${pickle} ${pickleRefusal}`);
    return {
      ...NOTHING,
      where,
      config,
      form: pickle === undefined ? "none" : "pickle",
      files: pickle === undefined ? [] : [pickle],
      refused: why,
    };
  }
  const { source, close } = await openWeights(files);
  const shards = (source as { readonly shards?: readonly string[] }).shards;
  const metadata = source instanceof SafetensorsFile ? source.metadata : {};
  return {
    ...NOTHING,
    where,
    form: "safetensors",
    files: shards ?? [plain!],
    tensors: source,
    config,
    weights: source,
    metadata,
    close,
  };
}

/** Tensors without a config. */
async function bare(files: Files, name: string): Promise<Opened> {
  const where = `${files.where}/${name}`;
  const folder = await files.exists("config.json");
  const refused = folder
    ? `${quote(name)} is no checkpoint by itself; give its folder`
    : "there is no config.json beside it: whose weights are these?";
  const known = { ...NOTHING, where, called: name, form: "safetensors", refused } as const;
  if (name.endsWith(".json")) {
    const source = await openShards(files, name);
    return { ...known, files: source.shards, tensors: source, close: () => source.close() };
  }
  const bytes = await files.open(name);
  try {
    const source = await SafetensorsFile.open(bytes);
    return { ...known, files: [name], tensors: source, metadata: source.metadata, close: () => source.close() };
  } catch (error) {
    await bytes.close?.();
    throw ofFile(where, error);
  }
}

/** @throws what is no error of what was given */
export function reasonOf(error: unknown): string {
  if (error instanceof LowrankError && error.kind === "input") return error.message;
  throw error;
}
