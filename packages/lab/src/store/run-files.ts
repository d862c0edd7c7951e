/**
 * Files of a run's folder, read while somebody may be writing them and whatever somebody put in their place: ordinary files only, no links, bounded.
 * What cannot be read is undefined, never an error: who lists a thousand runs is not stopped by one.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";

/** No link is followed out of the folder, and a pipe does not wait for a writer.  */
const FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
/** A result of a hundred modules has 100 kB. */
const LARGEST_JSON = 2 ** 26;
/** Digits of SHA-256 and two blanks, before a name. */
export const DIGEST_CELLS = 66;
const END_BYTES = 2 ** 13;
const HEAD_BYTES = 2 ** 12;

/** What `read` makes of the open file. */
export function withFile<T>(
  folder: string,
  file: string,
  read: (handle: number, size: number, changed: number) => T | undefined,
): T | undefined {
  let handle: number;
  try {
    // where the system cannot refuse a link as it opens
    if (constants.O_NOFOLLOW === undefined && lstatSync(join(folder, file)).isSymbolicLink()) return undefined;
    handle = openSync(join(folder, file), FLAGS);
  } catch {
    return undefined;
  }
  try {
    const stats = fstatSync(handle);
    return stats.isFile() ? read(handle, stats.size, stats.mtimeMs) : undefined;
  } catch {
    return undefined;
  } finally {
    closeSync(handle);
  }
}

/** `length` bytes from `from` on, or as many as there are. */
export function bytesAt(handle: number, from: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const count = readSync(handle, bytes, done, length - done, from + done);
    if (count === 0) break;
    done += count;
  }
  return bytes.subarray(0, done);
}

/** The whole file; undefined where it is larger than anything of ours. */
export function textIn(folder: string, file: string, limit: number = LARGEST_JSON): string | undefined {
  return withFile(folder, file, (handle, size) =>
    size > limit ? undefined : bytesAt(handle, 0, size).toString("utf8"),
  );
}

/** Whether `SHA256SUMS` names the file. */
export function isListed(sums: string | undefined, file: string): boolean {
  return sums?.split("\n").some((line) => line.slice(DIGEST_CELLS) === file) ?? false;
}

/** A file that holds one object. */
export function objectIn(folder: string, file: string): Readonly<Record<string, unknown>> | undefined {
  const text = textIn(folder, file);
  return text === undefined ? undefined : parsedObject(text);
}

export function parsedObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return objectOf(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** First line of a file. */
export function firstLine(folder: string, file: string): string | undefined {
  return withFile(folder, file, (handle, size) => lineAt(bytesAt(handle, 0, Math.min(size, HEAD_BYTES))));
}

function lineAt(bytes: Buffer): string | undefined {
  const end = bytes.indexOf(0x0a);
  return end < 0 ? undefined : bytes.toString("utf8", 0, end);
}

/** The last whole line of a table, by column; empty cells are left out. Undefined where there is no line yet. */
export function lastRow(folder: string, file: string): Readonly<Record<string, number>> | undefined {
  return withFile(folder, file, (handle, size) => {
    const header = lineAt(bytesAt(handle, 0, Math.min(size, HEAD_BYTES)));
    if (header === undefined) return undefined;
    // what follows the last line end is being written
    const tail = bytesAt(handle, Math.max(header.length + 1, size - END_BYTES), END_BYTES).toString("utf8");
    const line = tail.slice(0, tail.lastIndexOf("\n") + 1).trimEnd();
    return line === "" ? undefined : rowOf(header.split(","), line.slice(line.lastIndexOf("\n") + 1));
  });
}

/** Cells by column: numbers, and nothing for what is none. */
export function rowOf(columns: readonly string[], line: string): Readonly<Record<string, number>> {
  const cells = line.split(",");
  return Object.fromEntries(
    columns.flatMap((column, c) => {
      const cell = cells[c]?.trim() ?? "";
      const value = Number(cell);
      return cell === "" || Number.isNaN(value) ? [] : [[column, value] as const];
    }),
  );
}

export function objectOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

export function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

export function numberOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}
