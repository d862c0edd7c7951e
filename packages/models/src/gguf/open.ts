/** A GGUF file as a checkpoint: what `config.json` would say, and its weights under Hugging Face's names. */
import { LowrankError, type TensorSource } from "@lowrank/tensor";
import { isPlace, noneIfAbsent, ofFile, placeOf, type Place } from "../places/place.ts";
import type { Where } from "../places/url.ts";
import type { ConfigSource } from "../shared/config-table.ts";
import { GgufFile } from "./file.ts";
import { architectureName } from "./metadata.ts";
import { ggufArchitecture } from "./registry.ts";
import { RenamedSource } from "./renamed.ts";
import { withRopeFactors } from "./rope-factors.ts";

const isGguf = (name: string): boolean => /\.gguf$/i.test(name);

/**
 * The GGUF file that is meant: one that was named, or the only one in a folder that is no Hugging Face checkpoint.
 * @returns undefined where none is
 * @throws LowrankError (FileError) where it could be several
 */
async function ggufIn({ files, file }: Place): Promise<string | undefined> {
  if (file !== undefined) return isGguf(file) ? file : undefined;
  if (files.list === undefined || (await files.exists("config.json"))) return undefined;
  // a folder that is not there is the caller's to report
  const found = (await files.list().catch(noneIfAbsent)).filter(isGguf);
  if (found.length > 1)
    throw new LowrankError(
      "FileError",
      `${files.where}: there are ${found.length} GGUF files (${found.slice(0, 4).join(", ")}${found.length > 4 ? ", …" : ""}); give the path of one`,
    );
  return found[0];
}

/** A GGUF file that was found and whose header is sound. To be closed by who opened it. */
export interface OpenGguf {
  /** The file, for messages. */
  readonly where: string;
  readonly name: string;
  readonly file: GgufFile;
}

export interface GgufCheckpoint extends OpenGguf {
  readonly config: ConfigSource;
  readonly weights: TensorSource;
  close(): Promise<void>;
}

/** As `openGguf`, of any architecture, or none. */
export async function openGgufFile(from: Where | Place): Promise<OpenGguf | undefined> {
  const place = isPlace(from) ? from : await placeOf("openGguf", from, "config.json");
  const { files } = place;
  const name = await ggufIn(place);
  if (name === undefined) return undefined;
  const source = await files.open(name);
  try {
    return { where: `${files.where}/${name}`, name, file: await GgufFile.open(source) };
  } catch (error) {
    await source.close?.();
    throw ofFile(`${files.where}/${name}`, error);
  }
}

/**
 * Opens a GGUF file: its header is read, no tensor yet. To be closed by who opened it.
 * @param from the path or URL of a file, or a folder or files with exactly one; with a `config.json` beside it the folder is a Hugging Face checkpoint
 * @returns undefined where `from` is none of these
 * @throws LowrankError FileError where it could be several or is not there, FormatError where it is damaged, NotBuiltError for architectures that are not built
 */
export async function openGguf(from: Where | Place): Promise<GgufCheckpoint | undefined> {
  const opened = await openGgufFile(from);
  if (opened === undefined) return undefined;
  try {
    return { ...opened, ...(await asCheckpoint(opened.file)), close: () => opened.file.close() };
  } catch (error) {
    await opened.file.close();
    throw error;
  }
}

/** @throws LowrankError (NotBuiltError, FormatError) where it is of no architecture that is built, or its metadata lacks something */
export async function asCheckpoint(file: GgufFile): Promise<{ config: ConfigSource; weights: TensorSource }> {
  const architecture = ggufArchitecture(architectureName(file));
  const config = await withRopeFactors(architecture.config(file, file), file);
  return { config, weights: new RenamedSource(file, architecture, config) };
}
