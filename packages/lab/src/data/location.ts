/** Where data files are: `--data DIR`, else the variable LOWRANK_DATA, else `../shared/data`. Nothing here reads more than names. */
import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { printable } from "@lowrank/tensor";
import { InputError } from "../errors.ts";
import { fileSize, readPieces, startsWithMark, statOf } from "./read-file.ts";

/** Data folder without checking that it exists: studies on embedded tasks need none. */
export function dataFolder(option: string | undefined): string {
  return resolve(option ?? (process.env["LOWRANK_DATA"] || "../shared/data"));
}

/** What files that a study names are told from: the data folder where one was given, else the working directory. */
export function filesFolder(option: string | undefined): string {
  return resolve(option ?? (process.env["LOWRANK_DATA"] || "."));
}

/** Path of an ordinary file under the data folder. Throws InputError naming the path and the ways to set the folder. */
export function requireFile(folder: string, ...parts: string[]): string {
  const path = join(folder, ...parts);
  if (statOf(path) === undefined) {
    throw new InputError(
      `data file not found: ${path}; point --data (or LOWRANK_DATA) at the folder that holds ${join(...parts)}`,
    );
  }
  fileSize(path);
  return path;
}

/** Tells of what is left out of the files' text: byte order marks. */
export function sayMarks(paths: readonly string[], say: ((line: string) => void) | undefined): void {
  for (const path of paths)
    if (startsWithMark(path))
      say?.(`${printable(path)}: begins with a byte order mark, which is no part of the text; it is left out`);
}

/** SHA-256 over the bytes of the files, in order, as hex: what "the same data" means in a run's identity. */
export function hashFiles(paths: readonly string[]): string {
  const hash = createHash("sha256");
  for (const path of paths) {
    hash.update(`${fileSize(path)}:`);
    // piece by piece: a checkpoint's file is as large as the model
    readPieces(path, (piece) => hash.update(piece));
  }
  return hash.digest("hex");
}

/** The option of the packages for a revision that need not be said. */
export function revisionOf({ revision }: { readonly revision?: string | undefined }): { readonly revision?: string } {
  return revision === undefined ? {} : { revision };
}
