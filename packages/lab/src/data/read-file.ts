/** Files that people name, read with care: ordinary files only (a pipe would block, a device never ends), and a bound on their size. */
import { closeSync, openSync, readSync, statSync, type Stats } from "node:fs";
import { InputError } from "../errors.ts";
import { formatBytes } from "../text/format.ts";
import { cut } from "../text/shown.ts";
import { decodeText } from "./decode-text.ts";

/** Texts are strings in memory, and Node's longest has 2^29 characters. */
const LARGEST_TEXT = 2 ** 28;

/** What is at the path; undefined where nothing is. A path through a file, or one that is too long, leads to nothing. */
export function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOTDIR" || code === "ENAMETOOLONG" || code === "ELOOP" || code === "ERR_INVALID_ARG_VALUE")
      return undefined;
    throw new InputError(`${cut(path)}: cannot be read (${code})`, { cause: error });
  }
}

/** Size of an ordinary file. @throws InputError for anything else, before it is opened */
export function fileSize(path: string): number {
  const stats = statOf(path);
  if (stats === undefined) throw new InputError(`no such file: ${cut(path)}`);
  if (stats.isDirectory()) throw new InputError(`${path}: is a folder; a file is needed`);
  if (!stats.isFile())
    throw new InputError(
      `${path}: is no ordinary file but a pipe, a socket or a device; copy what it gives into a file`,
    );
  return stats.size;
}

/** Handles pieces of an ordinary file in order. */
export function readPieces(path: string, take: (piece: Uint8Array) => void): void {
  const size = fileSize(path);
  const file = openForReading(path);
  const buffer = new Uint8Array(Math.min(PIECE_BYTES, size + 1));
  try {
    let done = 0;
    for (let count = readSync(file, buffer); count > 0; count = readSync(file, buffer)) {
      done += count;
      // what the system makes up as it is read (/proc, /sys) says that it is empty
      if (done > size)
        throw new InputError(
          `${path}: has more bytes than its size of ${size} says; it is no ordinary file, or something is writing to it`,
        );
      take(buffer.subarray(0, count));
    }
    if (done < size) throw new InputError(`${path}: ended after ${done} of ${size} bytes; something is writing to it`);
  } finally {
    closeSync(file);
  }
}

const PIECE_BYTES = 1 << 20;

function openForReading(path: string): number {
  try {
    return openSync(path, "r");
  } catch (error) {
    throw new InputError(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`, { cause: error });
  }
}

/** Whether the file begins with UTF-8's byte order mark. */
export function startsWithMark(path: string): boolean {
  fileSize(path);
  const file = openForReading(path);
  try {
    const bytes = new Uint8Array(3);
    return readSync(file, bytes) === 3 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  } finally {
    closeSync(file);
  }
}

/** Text of an ordinary file, without a byte order mark. @param limit largest size in bytes */
export function readText(path: string, limit: number = LARGEST_TEXT): string {
  return decodeText(readBytes(path, limit), path);
}

/** All of an ordinary file. @param limit largest size in bytes */
export function readBytes(path: string, limit: number = LARGEST_TEXT): Uint8Array {
  const size = fileSize(path);
  if (size > limit)
    throw new InputError(`${path}: has ${formatBytes(size)}; ${formatBytes(limit)} are the most that is read`);
  const bytes = new Uint8Array(size);
  let at = 0;
  readPieces(path, (piece) => {
    bytes.set(piece, at);
    at += piece.length;
  });
  return bytes;
}
