/** A checkpoint as it is found: a folder with config.json, or one file that says everything. */
import { LowrankError, quote, type Files, type RandomAccess, type TensorSource } from "@lowrank/tensor";
import { checkOptions } from "@lowrank/tensor/check";
import { openGguf } from "./gguf/open.ts";
import { readConfig } from "./identity.ts";
import { openLlama2c } from "./llama2c/open.ts";
import { LOCATE, type LocateOptions } from "./places/locate.ts";
import { placeOf, type Place } from "./places/place.ts";
import type { Where } from "./places/url.ts";
import type { ConfigSource } from "./shared/config-table.ts";
import { openWeights, weightFiles, type OpenWeights } from "./weights-file.ts";

/** To be closed by who found it. */
export interface FoundCheckpoint {
  readonly where: string;
  /** The file of the weights, for messages. */
  readonly called: string;
  /** As config.json has it. */
  readonly config: ConfigSource;
  /** Names of the files that loading reads: config.json and those of the weights, or the one that is all of it. */
  names(): Promise<readonly string[]>;
  /** Weights under Hugging Face's names. */
  weights(): Promise<TensorSource>;
  close(): Promise<void>;
}

/** A checkpoint whose config was read and of whose weights nothing was. Nothing is open. */
export interface LocatedCheckpoint {
  readonly where: string;
  /** As config.json has it; of a GGUF file made of its metadata. */
  readonly config: ConfigSource;
  /** The place that it is in. */
  readonly files: Files;
  /** Names of the files that loading reads: config.json and those of the weights, or the one that is all of it. */
  readonly names: readonly string[];
}

/**
 * What a checkpoint is and which files it consists of, without its weights: none of them is downloaded.
 * @param from as `fromPretrained` takes it
 * @throws LowrankError where there is no checkpoint, or none that can be read
 */
export async function locateCheckpoint(from: Where, options: LocateOptions = {}): Promise<LocatedCheckpoint> {
  const place = await placeOf(
    "locateCheckpoint",
    from,
    "config.json",
    checkOptions("locateCheckpoint", LOCATE, options),
  );
  const found = await findCheckpoint(place);
  try {
    return { where: found.where, config: found.config, files: place.files, names: await found.names() };
  } finally {
    await found.close();
  }
}

/** A checkpoint whose config and headers were read, and no tensor. To be closed by who opened it. */
export interface OpenCheckpoint {
  readonly where: string;
  /** As config.json has it. */
  readonly config: ConfigSource;
  /** Every tensor under Hugging Face's name: names, shapes, dtypes, and bytes by range. Of one file or of shards. */
  readonly weights: TensorSource;
  close(): Promise<void>;
}

/**
 * The tensors of a checkpoint, without a model: for `readTensor`, `loadQuantized` into modules of one's own, `writeQuantizedCheckpoint`.
 * @param from as `fromPretrained` takes it: a folder, a file, a URL, a model of the hub, or files
 * @throws LowrankError where there is no checkpoint, or none that can be read
 */
export async function openCheckpoint(from: Where, options: LocateOptions = {}): Promise<OpenCheckpoint> {
  const how = checkOptions("openCheckpoint", LOCATE, options);
  const found = await findCheckpoint(await placeOf("openCheckpoint", from, "config.json", how));
  try {
    const { where, config } = found;
    return { where, config, weights: await found.weights(), close: () => found.close() };
  } catch (error) {
    await found.close();
    throw error;
  }
}

interface FileContents {
  readonly config: ConfigSource;
  readonly weights: TensorSource;
}

/** Kinds of files besides GGUF that are checkpoints by themselves, by the ends of their names. */
const KINDS: Readonly<Record<string, (file: RandomAccess, where: string) => Promise<FileContents>>> = {
  ".bin": openLlama2c,
};
/** Ends of the names of files that are checkpoints by themselves. */
export const CHECKPOINT_ENDS: readonly string[] = [".gguf", ...Object.keys(KINDS)];

/** The end of a file's name, in lower case; empty where it has none. */
export function endOf(file: string): string {
  return /\.\w+$/.exec(file)?.[0].toLowerCase() ?? "";
}

/** @throws LowrankError where there is no checkpoint, or none that can be read */
export async function findCheckpoint(place: Place): Promise<FoundCheckpoint> {
  const { files, file } = place;
  const gguf = await openGguf(place);
  if (gguf !== undefined)
    return {
      ...gguf,
      called: gguf.name,
      names: () => Promise.resolve([gguf.name]),
      weights: () => Promise.resolve(gguf.weights),
    };
  if (file === undefined) {
    let opened: OpenWeights | undefined;
    return {
      where: files.where,
      called: "model.safetensors",
      config: await readConfig(files),
      names: async () => ["config.json", ...(await weightFiles(files))],
      weights: async () => (opened ??= await openWeights(files)).source,
      close: async () => opened?.close(),
    };
  }
  const where = `${files.where}/${file}`;
  const open = KINDS[endOf(file)];
  if (open === undefined)
    throw new LowrankError(
      "FileError",
      `${where}: ${quote(file)} is no checkpoint by itself; give its folder, or a file that ends in ${CHECKPOINT_ENDS.join(", ")}`,
    );
  const bytes = await files.open(file);
  const close = async (): Promise<void> => bytes.close?.();
  try {
    const { config, weights } = await open(bytes, where);
    return {
      where,
      called: file,
      config,
      names: () => Promise.resolve([file]),
      weights: () => Promise.resolve(weights),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
