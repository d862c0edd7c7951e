/**
 * A folder of result lines: `*.jsonl`, a file a study, each finished run once. Lines are only ever added, under the folder's lock, by one write that is on
 * the disk before anything counts on it. A last line that a killed process left unfinished is passed over by who reads and cut off by who writes next.
 */
import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeSync,
  type Dirent,
} from "node:fs";
import { join } from "node:path";
import { canonicalJson } from "../config/canonical.ts";
import { statOf } from "../data/read-file.ts";
import { InputError } from "../errors.ts";
import { tryLock, type Lock } from "./lock.ts";
import { readResultLine, runOf, SUMMED, writeResultLine, type ResultLine } from "./result-line.ts";

const EXTENSION = ".jsonl";

/** A line and where it stands. */
export interface KeptLine {
  readonly line: ResultLine;
  /** File and number. */
  readonly where: string;
}

/**
 * All lines of a folder, by file and by place in it; empty where there is no such folder. What stands in two files (of two branches that were merged) is
 * told once.
 * @throws InputError naming file and number of a line that is damaged, or that says of a run what another line does not
 */
export function readResultLines(folder: string): KeptLine[] {
  const byId = new Map<string, KeptLine>();
  for (const file of filesIn(folder))
    for (const kept of linesOf(join(folder, file))) {
      const { id, name } = runOf(kept.line);
      const before = byId.get(id);
      if (before === undefined) byId.set(id, kept);
      else if (determined(before.line) !== determined(kept.line))
        throw new InputError(
          `${kept.where}: says of ${name} what ${before.where} does not, and both are of the same code, config, seed and data; delete the one that is wrong`,
        );
    }
  return [...byId.values()];
}

/**
 * Adds the lines that are not there yet, to the file of their study.
 * @returns those that were added
 * @throws InputError where the folder cannot be written, or a file of it is damaged
 */
export async function addLines(folder: string, lines: readonly ResultLine[]): Promise<readonly ResultLine[]> {
  if (lines.length === 0) return [];
  const lock = await lockOf(folder);
  try {
    const known = new Set(readResultLines(folder).map(({ line }) => runOf(line).id));
    const added = lines.filter((line) => !known.has(runOf(line).id) && known.add(runOf(line).id));
    for (const line of added) append(join(folder, `${line.study}${EXTENSION}`), writeResultLine(line));
    return added;
  } finally {
    lock.release();
  }
}

/** Another one where lines were added, or a file changed. */
export function linesStamp(folder: string): string {
  return filesIn(folder)
    .map((file) => {
      const { size, mtimeMs } = statSync(join(folder, file));
      return `${file}/${size}/${mtimeMs}`;
    })
    .join();
}

async function lockOf(folder: string): Promise<Lock> {
  try {
    mkdirSync(folder, { recursive: true });
    for (;;) {
      const taken = tryLock(folder);
      if (!("holder" in taken)) return taken;
      await new Promise((done) => setTimeout(done, WAIT_MS));
    }
  } catch (error) {
    throw new InputError(
      `--results: cannot write to ${folder} (${(error as NodeJS.ErrnoException).code ?? String(error)}); choose a folder you may write to`,
      { cause: error },
    );
  }
}

/** Others hold the lock for one line. */
const WAIT_MS = 20;

function filesIn(folder: string): string[] {
  const stat = statOf(folder);
  if (stat === undefined) return [];
  if (!stat.isDirectory()) throw new InputError(`${folder}: is a file; results are kept in a folder`);
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.name.endsWith(EXTENSION) && (entry.isFile() || isLinkToFile(entry, folder)))
    .map(({ name }) => name)
    .sort();
}

/** @throws InputError for a link that leads nowhere: whoever made it means results */
function isLinkToFile(entry: Dirent, folder: string): boolean {
  if (!entry.isSymbolicLink()) return false;
  const path = join(folder, entry.name);
  const stat = statOf(path);
  if (stat === undefined) throw new InputError(`${path}: is a link that leads nowhere; mend it, or delete it`);
  return stat.isFile();
}

function linesOf(path: string): KeptLine[] {
  const { whole } = piecesOf(readFileSync(path));
  return whole.flatMap((text, i) => {
    const where = `${path}:${i + 1}`;
    return text === "" ? [] : [{ line: lineOf(text, where), where }];
  });
}

/** What was read before: a folder is read again for each line that is added to it. */
const read = new Map<string, ResultLine>();

function lineOf(text: string, where: string): ResultLine {
  const line = read.get(text) ?? readResultLine(text, where);
  read.set(text, line);
  return line;
}

/** Lines that are whole, and the bytes that they take: what follows is what a killed process left. */
function piecesOf(bytes: Buffer): {
  readonly whole: readonly string[];
  readonly length: number;
  readonly ended: boolean;
} {
  // editors of some systems begin a file with a mark
  const lines = bytes
    .toString("utf8")
    .replace(/^\uFEFF/, "")
    .split("\n");
  const last = lines.pop()!;
  // a version control system may end lines in its own way, and an editor the file
  const whole = lines.map((line) => line.replace(/\r$/, ""));
  const length = bytes.lastIndexOf(0x0a) + 1;
  // what has its sum was written to its end: it is read, and said to be damaged where it is
  if (!SUMMED.test(last)) return { whole, length, ended: true };
  return { whole: [...whole, last], length: bytes.length, ended: false };
}

function append(path: string, text: string): void {
  const handle = openSync(path, "a+");
  try {
    const bytes = readFileSync(handle);
    const { length, ended } = piecesOf(bytes);
    if (length < bytes.length) ftruncateSync(handle, length);
    const line = Buffer.from(`${ended ? "" : "\n"}${text}\n`);
    for (let written = 0; written < line.length;) written += writeSync(handle, line, written);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** What config, seed, data and code determine of a run, in one form. */
function determined(line: ResultLine): string {
  return canonicalJson(line.outcome === "finished" ? line.result : { ...line.run, message: line.message });
}
