/** Where an export goes: written beside its place and renamed when it is whole, and never over something that was not meant. */
import { mkdirSync, readdirSync, realpathSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { directory, type WritableFiles } from "@lowrank/tensor";
import { statOf } from "../data/read-file.ts";
import { InputError } from "../errors.ts";

/** What folders of models and adapters consist of here. Anything else is somebody's own. */
const WRITTEN =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|adapter_config|lowrank)\.json$|^(model(-\d+-of-\d+)?|adapter_model|adapters)\.safetensors$|^model\.safetensors\.index\.json$|^(vocab|merges)\.txt$|^chat_template\.jinja$|^README\.md$/;

/**
 * @throws InputError where something is there and `force` was not said; where what is there is of the other kind, or a folder with a file that
 * no command here writes
 */
export function requireFree(out: string, kind: "file" | "folder", force: boolean): void {
  const there = statOf(out);
  if (there === undefined) return;
  if (there.isDirectory() !== (kind === "folder"))
    throw new InputError(
      `--out ${out}: is a ${kind === "folder" ? "file, and a folder" : "folder, and a file"} is to be written; give another path`,
    );
  const entries = kind === "folder" ? readdirSync(out, { withFileTypes: true }) : undefined;
  if (entries?.length === 0) return;
  if (!force) throw new InputError(`--out ${out}: is there already; give another path, or --force to replace it`);
  if (entries === undefined && !there.isFile())
    throw new InputError(`--out ${out}: is no ordinary file, and is not replaced; give another path`);
  const foreign = entries?.find((entry) => !entry.isFile() || !WRITTEN.test(entry.name));
  if (foreign !== undefined)
    throw new InputError(
      `--out ${out}: holds ${foreign.name}, which is no part of a model or an adapter, and --force would delete it; give another path, or move it away`,
    );
}

/** @param inputs as they were named; what is no path from here is passed over @throws InputError where one of them is, holds or lies in `out` */
export function requireApart(out: string, inputs: readonly string[]): void {
  const to = realOf(resolve(out));
  for (const input of inputs) {
    if (statOf(input) === undefined) continue;
    const from = realOf(resolve(input));
    if (within(to, from) || within(from, to))
      throw new InputError(
        `--out ${out}: ${to === from ? "is" : within(from, to) ? "holds" : "lies in"} what is read, ${input}; give a path apart from it`,
      );
  }
}

/** Of a path whose end may not be there yet. */
function realOf(path: string): string {
  if (statOf(path) !== undefined) return realpathSync(path);
  const above = dirname(path);
  return above === path ? path : join(realOf(above), basename(path));
}

function within(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== ".." && !way.startsWith(`..${sep}`) && resolve(folder, way) === path;
}

/** A file, whole or not at all. */
export async function writeFileAt(
  out: string,
  write: (files: WritableFiles, name: string) => Promise<void>,
): Promise<void> {
  await write(directory(dirname(resolve(out))), basename(out));
}

/** A folder, whole or not at all; what was there, and may be replaced, is gone then. */
export async function writeFolderAt(
  out: string,
  force: boolean,
  write: (files: WritableFiles) => Promise<void>,
): Promise<void> {
  const to = resolve(out);
  const draft = join(dirname(to), `.${basename(to)}.${process.pid}.part`);
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true });
  try {
    await write(directory(draft));
    // it took its time
    requireFree(out, "folder", force);
    rmSync(to, { recursive: true, force: true });
    renameSync(draft, to);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    throw error;
  }
}
