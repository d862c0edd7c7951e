/**
 * Files that people name, read with care: ordinary files only (a pipe would block, a device never ends), a bound on their size, and
 * text that really is UTF-8.
 */
import { closeSync, openSync, readSync, statSync, type Stats } from "node:fs";
import { InputError } from "../errors.ts";
import { formatBytes } from "../text/format.ts";
import { cut } from "../text/shown.ts";

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
  const size = fileSize(path);
  if (size > limit)
    throw new InputError(`${path}: has ${formatBytes(size)}; ${formatBytes(limit)} are the most that is read`);
  const bytes = new Uint8Array(size);
  let at = 0;
  readPieces(path, (piece) => {
    bytes.set(piece, at);
    at += piece.length;
  });
  return decodeText(bytes, path);
}

/** UTF-8 and nothing else, without a byte order mark; `name` is what errors call the file. */
export function decodeText(bytes: Uint8Array, name: string): string {
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff))
    throw new InputError(`${name}: is UTF-16; save it as UTF-8`);
  const zero = bytes.indexOf(0);
  if (zero >= 0)
    throw new InputError(
      `${name}:${lineOf(bytes, zero)}: holds a NUL byte; it is no text, or UTF-16; save it as UTF-8`,
    );
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    const bad = firstBadByte(bytes);
    throw new InputError(
      `${name}:${lineOf(bytes, bad)}: byte 0x${bytes[bad]!.toString(16).padStart(2, "0")} is not UTF-8 (Latin-1?); save the file as UTF-8`,
      { cause: error },
    );
  }
}

function lineOf(bytes: Uint8Array, at: number): number {
  let line = 1;
  for (let i = 0; i < at; i++) if (bytes[i] === 0x0a) line++;
  return line;
}

/** Where the first character begins that is not UTF-8. */
function firstBadByte(bytes: Uint8Array): number {
  /** Whether a prefix is UTF-8; with `open` it may end within a character. */
  const sound = (end: number, open: boolean): boolean => {
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, end), { stream: open });
      return true;
    } catch {
      return false;
    }
  };
  let [low, high] = [0, bytes.length];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (sound(middle, true)) low = middle;
    else high = middle - 1;
  }
  // a character has at most four bytes
  while (low > 0 && !sound(low, false)) low--;
  return Math.min(low, bytes.length - 1);
}
