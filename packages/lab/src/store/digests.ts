/**
 * `SHA256SUMS`: digests of every file of a folder that we wrote, in the form that `sha256sum --check` reads. What is read again later is
 * checked against it: a result that somebody edited, or whose predictions are gone, is no result.
 */
import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readPieces, readText, statOf } from "../data/read-file.ts";
import { InputError } from "../errors.ts";
import { cut } from "../text/shown.ts";

const SUMS = "SHA256SUMS";
/** Some hundred files. */
const LARGEST_SUMS = 2 ** 20;

/** Writes the digests of all files in the folder, durably. To be called last. */
export function writeDigests(folder: string): void {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== SUMS)
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1).replaceAll("\\", "/"))
    .sort();
  const handle = openSync(join(folder, SUMS), "w");
  try {
    writeFileSync(handle, files.map((file) => `${digestOf(join(folder, file))}  ${file}\n`).join(""));
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** Throws InputError naming the first file that is not what was written; `fix` says what to do then. */
export function checkDigests(folder: string, fix: string): void {
  const path = join(folder, SUMS);
  if (statOf(path) === undefined) throw new InputError(`${folder}: has no ${SUMS}, so that nothing tells whether it is what was written; ${fix}`);
  const lines = readText(path, LARGEST_SUMS).trimEnd().split("\n");
  if (!lines.some((line) => line.length > 0)) throw new InputError(`${path}: is empty; ${fix}`);
  for (const line of lines) {
    const [, digest, file] = /^([0-9a-f]{64}) {2}(.+)$/.exec(line) ?? [];
    if (digest === undefined || file === undefined || file.split("/").includes("..")) throw new InputError(`${path}: "${cut(line)}" is not a digest and a name; ${fix}`);
    const at = join(folder, file);
    if (statOf(at) === undefined) throw new InputError(`${folder}: ${cut(file)} is missing; ${fix}`);
    if (digestOf(at) !== digest) throw new InputError(`${folder}: ${cut(file)} is not what was written (another digest than in ${SUMS}); ${fix}`);
  }
}

function digestOf(path: string): string {
  const hash = createHash("sha256");
  readPieces(path, (piece) => hash.update(piece));
  return hash.digest("hex");
}
