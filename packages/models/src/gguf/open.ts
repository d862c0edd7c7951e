/** A GGUF file as a checkpoint: what `config.json` would say, and its weights under Hugging Face's names. */
import { directory, LowrankError, type Files, type TensorSource } from "@lowrank/tensor";
import type { ConfigSource } from "../shared/config-table.ts";
import { GgufFile } from "./file.ts";
import { architectureName } from "./metadata.ts";
import { ggufArchitecture } from "./registry.ts";
import { RenamedSource } from "./renamed.ts";

interface Place {
  readonly files: Files;
  readonly name: string;
}

const isGguf = (name: string): boolean => /\.gguf$/i.test(name);

/**
 * The GGUF file that is meant: the path of one, or a folder or files with exactly one of them and no Hugging Face checkpoint.
 * @returns undefined where none is
 * @throws LowrankError (FileError) where it could be several
 */
async function placeOf(from: string | Files): Promise<Place | undefined> {
  if (typeof from === "string" && isGguf(from)) {
    const cut = from.lastIndexOf("/");
    return { files: directory(cut < 0 ? "." : from.slice(0, Math.max(cut, 1))), name: from.slice(cut + 1) };
  }
  const files = typeof from === "string" ? directory(from) : from;
  if (files.list === undefined || (await files.exists("config.json"))) return undefined;
  // a folder that is not there is the caller's to report
  const found = (await files.list().catch(() => [])).filter(isGguf);
  if (found.length > 1)
    throw new LowrankError(
      "FileError",
      `${files.where}: there are ${found.length} GGUF files (${found.slice(0, 4).join(", ")}${found.length > 4 ? ", …" : ""}); give the path of one`,
    );
  return found.length === 0 ? undefined : { files, name: found[0]! };
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
export async function openGgufFile(from: string | Files): Promise<OpenGguf | undefined> {
  const place = await placeOf(from);
  if (place === undefined) return undefined;
  const { files, name } = place;
  const source = await files.open(name);
  try {
    return { where: `${files.where}/${name}`, name, file: await GgufFile.open(source) };
  } catch (error) {
    await source.close?.();
    throw error;
  }
}

/**
 * Opens a GGUF file: its header is read, no tensor yet. To be closed by who opened it.
 * @param from the path of a file, or a folder or files with exactly one; with a `config.json` beside it the folder is a Hugging Face checkpoint
 * @returns undefined where `from` is none of these
 * @throws LowrankError FileError where it could be several or is not there, FormatError where it is damaged, NotBuiltError for architectures that are not built
 */
export async function openGguf(from: string | Files): Promise<GgufCheckpoint | undefined> {
  const opened = await openGgufFile(from);
  if (opened === undefined) return undefined;
  const { file } = opened;
  try {
    const architecture = ggufArchitecture(architectureName(file));
    const config = architecture.config(file, file);
    const weights = new RenamedSource(file, architecture, config);
    return { ...opened, config, weights, close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}
