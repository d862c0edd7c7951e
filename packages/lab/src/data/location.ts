/** Where data files are: `--data DIR`, else the variable LOWRANK_DATA, else `../shared/data`. Nothing here reads more than names. */
import { createHash } from "node:crypto";
import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { InputError } from "../errors.ts";

/** Data folder without checking that it exists: studies on embedded tasks need none. */
export function dataFolder(option: string | undefined): string {
  return resolve(option ?? process.env["LOWRANK_DATA"] ?? "../shared/data");
}

/** Path of a file under the data folder. Throws InputError naming the path and the ways to set the folder. */
export function requireFile(folder: string, ...parts: string[]): string {
  const path = join(folder, ...parts);
  if (!existsSync(path) || !statSync(path).isFile()) {
    throw new InputError(`data file not found: ${path}; point --data (or LOWRANK_DATA) at the folder that holds ${join(...parts)}`);
  }
  return path;
}

const PIECE_BYTES = 1 << 20;

/** SHA-256 over the bytes of the files, in order, as hex: what "the same data" means in a run's identity. */
export function hashFiles(paths: readonly string[]): string {
  const hash = createHash("sha256");
  // piece by piece: a checkpoint's file is as large as the model
  const piece = new Uint8Array(PIECE_BYTES);
  for (const path of paths) {
    hash.update(`${statSync(path).size}:`);
    const file = openSync(path, "r");
    try {
      for (let count = readSync(file, piece); count > 0; count = readSync(file, piece)) hash.update(piece.subarray(0, count));
    } finally {
      closeSync(file);
    }
  }
  return hash.digest("hex");
}
