/**
 * `SHA256SUMS`: digests of every file of a folder that we wrote, in the form that `sha256sum --check` reads. What is read again later is
 * checked against it: a result that somebody edited, or whose predictions are gone, is no result.
 */
import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, readdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { readPieces, readText, statOf } from "../data/read-file.ts";
import { InputError } from "../errors.ts";
import { cut } from "../text/shown.ts";
import { isLock } from "./lock.ts";

export const SUMS = "SHA256SUMS";
/** Some hundred files. */
const LARGEST_SUMS = 2 ** 20;

/** Writes the digests of all files in the folder, durably. To be called last. @param without a folder in it that will be gone */
export function writeDigests(folder: string, without?: string): void {
  const files = filesIn(folder).filter((file) => file.split("/")[0] !== without);
  const handle = openSync(join(folder, SUMS), "w");
  try {
    writeFileSync(handle, files.map((file) => `${digestOf(join(folder, file))}  ${file}\n`).join(""));
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** Everything in the folder but folders, the digests themselves and its lock, as the digests name it. */
export function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
    .filter((file) => file !== SUMS && !isLock(file))
    .sort();
}

/**
 * Every file of the folder is listed, and is what was written. Which files there must be, `requireListed` asks. Returns the names.
 * @param isRead whose content is checked; of the others only that they are there
 * @throws InputError naming the first file that is not; `fix` says what to do then
 */
export function checkDigests(
  folder: string,
  fix: string,
  isRead: (file: string) => boolean = () => true,
): ReadonlySet<string> {
  const path = join(folder, SUMS);
  if (statOf(path) === undefined)
    throw new InputError(`${folder}: has no ${SUMS}, so that nothing tells whether it is what was written; ${fix}`);
  const lines = readText(path, LARGEST_SUMS).trimEnd().split("\n");
  if (!lines.some((line) => line.length > 0)) throw new InputError(`${path}: is empty; ${fix}`);
  const listed = new Set<string>();
  for (const line of lines) {
    const [, digest, file] = /^([0-9a-f]{64}) {2}(.+)$/.exec(line) ?? [];
    if (digest === undefined || file === undefined || file.split("/").includes(".."))
      throw new InputError(`${path}: "${cut(line)}" is not a digest and a name; ${fix}`);
    const at = join(folder, file);
    if (statOf(at) === undefined) throw new InputError(`${folder}: ${cut(file)} is missing; ${fix}`);
    if (isRead(file) && digestOf(at) !== digest)
      throw new InputError(`${folder}: ${cut(file)} is not what was written (another digest than in ${SUMS}); ${fix}`);
    listed.add(file);
  }
  requireListed(folder, listed, filesIn(folder), fix);
  return listed;
}

/** Nobody tells of what is not listed whether it was written so. @throws InputError naming the first of the files that is not */
export function requireListed(
  folder: string,
  listed: ReadonlySet<string>,
  files: readonly string[],
  fix: string,
): void {
  const missing = files.find((file) => !listed.has(file));
  if (missing !== undefined)
    throw new InputError(
      `${folder}: ${cut(missing)} is not listed in ${SUMS}, so that nothing tells whether it is what was written; ${fix}`,
    );
}

function digestOf(path: string): string {
  const hash = createHash("sha256");
  readPieces(path, (piece) => hash.update(piece));
  return hash.digest("hex");
}
