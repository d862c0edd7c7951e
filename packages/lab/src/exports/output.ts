/** Where an export goes: written beside its place and renamed when it is whole, and never over something that was not meant. */
import { mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { directory, type WritableFiles } from "@lowrank/tensor";
import { statOf } from "../data/read-file.ts";
import { InputError } from "../errors.ts";

/** @throws InputError where something is there and `force` was not said, or what is there is of the other kind */
export function requireFree(out: string, kind: "file" | "folder", force: boolean): void {
  const there = statOf(out);
  if (there === undefined) return;
  if (there.isDirectory() !== (kind === "folder"))
    throw new InputError(
      `--out ${out}: is a ${kind === "folder" ? "file, and a folder" : "folder, and a file"} is to be written; give another path`,
    );
  if (force || (kind === "folder" && readdirSync(out).length === 0)) return;
  throw new InputError(`--out ${out}: is there already; give another path, or --force to replace it`);
}

/** A file, whole or not at all. */
export async function writeFileAt(
  out: string,
  write: (files: WritableFiles, name: string) => Promise<void>,
): Promise<void> {
  await write(directory(dirname(resolve(out))), basename(out));
}

/** A folder, whole or not at all; what was there is gone then. */
export async function writeFolderAt(out: string, write: (files: WritableFiles) => Promise<void>): Promise<void> {
  const to = resolve(out);
  const draft = join(dirname(to), `.${basename(to)}.${process.pid}.part`);
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true });
  try {
    await write(directory(draft));
    rmSync(to, { recursive: true, force: true });
    renameSync(draft, to);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    throw error;
  }
}
