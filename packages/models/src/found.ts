/** A checkpoint as it is found: a folder with config.json, or one file that says everything. */
import { LowrankError, quote, type RandomAccess, type TensorSource } from "@lowrank/tensor";
import { openGguf } from "./gguf/open.ts";
import { readConfig } from "./identity.ts";
import { openLlama2c } from "./llama2c/open.ts";
import { placeOf, type Place } from "./places/place.ts";
import type { Where } from "./places/url.ts";
import type { ConfigSource } from "./shared/config-table.ts";
import { openWeights, type OpenWeights } from "./weights-file.ts";

/** To be closed by who found it. */
export interface FoundCheckpoint {
  readonly where: string;
  /** The file of the weights, for messages. */
  readonly called: string;
  /** As config.json has it. */
  readonly config: ConfigSource;
  /** Weights under Hugging Face's names. */
  weights(): Promise<TensorSource>;
  close(): Promise<void>;
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
export async function openCheckpoint(from: Where): Promise<OpenCheckpoint> {
  const found = await findCheckpoint(await placeOf("openCheckpoint", from, "config.json"));
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
  if (gguf !== undefined) return { ...gguf, called: gguf.name, weights: () => Promise.resolve(gguf.weights) };
  if (file === undefined) {
    let opened: OpenWeights | undefined;
    return {
      where: files.where,
      called: "model.safetensors",
      config: await readConfig(files),
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
    return { where, called: file, config, weights: () => Promise.resolve(weights), close };
  } catch (error) {
    await close();
    throw error;
  }
}
