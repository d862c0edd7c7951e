/**
 * Run folders. Work happens in `.work-<name>`, which one process at a time holds (`lock.ts`) and the next one goes on with; a finished run becomes
 * visible by one rename. Nothing half-written ever carries a run's name, so killing a process at any time leaves at worst a `.work-…` folder.
 * What is in the way of a run and is none of ours is moved to `.set-aside-…`. What is read again is checked by its digests.
 */
import { randomUUID } from "node:crypto";
import {
  appendFileSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileSize, statOf } from "../data/read-file.ts";
import { InputError } from "../errors.ts";
import { CHECKPOINTS } from "./checkpoints.ts";
import { filesIn, writeDigests } from "./digests.ts";
import { BASE, CONFIG, hasResult, MEASURES, readFinished, RESULT } from "./finished-run.ts";
import type { KeptResults } from "./kept-results.ts";
import { lineOfRun } from "./line-of-run.ts";
import { tryLock, type Lock } from "./lock.ts";
import { isAlive, type ProcessMark } from "./processes.ts";
import { type FinishedRun, type RunMeasures } from "./measures.ts";
import { LAST_GOOD } from "./names.ts";
import type { RunResult } from "./result.ts";
import type { ResultLine } from "./result-line.ts";

export { BASE };

/** Of a run that this process makes, another makes, or one has made. */
export type Beginning =
  | { readonly claimed: RunFolder }
  | { readonly busy: ProcessMark }
  | { readonly done: FinishedRun };

/** Begins the name of a folder in which a run is made. */
export const WORK = ".work-";

export class RunStore {
  /** `<out>/runs`. */
  readonly folder: string;
  /** Runs that are done without a folder here: their lines were kept. */
  readonly kept: KeptResults | undefined;

  constructor(out: string, kept?: KeptResults) {
    this.folder = join(out, "runs");
    this.kept = kept;
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Result of a finished run, if it is there. @throws InputError where the folder is not what the run wrote */
  finished(name: string): FinishedRun | undefined {
    return readFinished(this.path(name), name) ?? this.kept?.finished(name);
  }

  /** Whether its folder is here. */
  has(name: string): boolean {
    return hasResult(this.path(name));
  }

  /** What is kept of a run whose folder is here. @throws InputError where the folder is not what the run wrote */
  line(name: string): ResultLine | undefined {
    const done = readFinished(this.path(name), name);
    return done === undefined ? undefined : lineOfRun(this.path(name), done);
  }

  /** The same for who tells of the run and goes on with none of it: its weights and predictions are there, and are not read. */
  glance(name: string): FinishedRun | undefined {
    return readFinished(this.path(name), name, true) ?? this.kept?.finished(name);
  }

  /** Results of every finished run in the store. */
  all(): FinishedRun[] {
    return this.names()
      .map((name) => this.finished(name))
      .filter((result) => result !== undefined);
  }

  /** Of what is in the place of finished runs, and of runs whose lines were kept. */
  names(): string[] {
    const here = existsSync(this.folder) ? readdirSync(this.folder).filter((name) => !name.startsWith(".")) : [];
    return [...new Set([...here, ...(this.kept?.names() ?? [])])].sort();
  }

  /** The run's work folder, held by this process until it is given back; or who has it, or what was made of it meanwhile. */
  begin(name: string): Beginning {
    const path = join(this.folder, `${WORK}${name}`);
    for (;;) {
      const lock = this.#claim(path);
      if (lock === undefined) continue;
      if ("holder" in lock) return { busy: lock.holder };
      try {
        // whoever had it may have finished it, which moves the folder away
        this.kept?.refresh();
        const done = this.finished(name);
        if (done !== undefined) {
          rmSync(path, { recursive: true, force: true });
          lock.release();
          return { done };
        }
        const setAside = [
          ...this.#leftBehind(name),
          ...(statOf(this.path(name)) === undefined ? [] : [this.path(name)]),
        ].map((from) => moveAside(from, name, this.folder));
        return { claimed: new RunFolder(path, this.path(name), join(this.folder, `.failed-${name}`), lock, setAside) };
      } catch (error) {
        lock.release();
        throw error;
      }
    }
  }

  /** Undefined where the folder was moved away in between: to be tried again. */
  #claim(path: string): ReturnType<typeof tryLock> | undefined {
    try {
      mkdirSync(path, { recursive: true });
    } catch (error) {
      throw new InputError(
        `--out: cannot create ${this.folder} (${(error as NodeJS.ErrnoException).code}); choose a folder you may write to`,
        { cause: error },
      );
    }
    try {
      return tryLock(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  /** Work folders of this run by versions that had one for each attempt, whose process is gone. */
  #leftBehind(name: string): string[] {
    return readdirSync(this.folder)
      .filter((entry) => {
        const [, pid] = entry.startsWith(`.tmp-${name}-`)
          ? (/^-(\d+)-[0-9a-f]{8}$/.exec(entry.slice(`.tmp-${name}`.length)) ?? [])
          : [];
        return pid !== undefined && !isAlive(Number(pid));
      })
      .map((entry) => join(this.folder, entry));
  }
}

/** What is no finished run is kept under a name of its own: it may be the only copy of something. Returns the new path. */
function moveAside(from: string, name: string, folder: string): string {
  const to = join(folder, `.set-aside-${name}-${randomUUID().slice(0, 8)}`);
  renameSync(from, to);
  return to;
}

/** Told of all attempts: it is never cut. */
const EVENTS = "events.jsonl";

/** What is written as a whole, by this attempt or the next. */
const WRITTEN_WHOLE: readonly string[] = [
  EVENTS,
  CONFIG,
  "env.json",
  LAST_GOOD,
  `${LAST_GOOD}.new`,
  CHECKPOINTS,
  BASE,
  "adapter",
  "checkpoint",
];

export class RunFolder {
  /** Where the run writes while it is not finished. */
  readonly path: string;
  readonly #final: string;
  readonly #failed: string;
  readonly #lock: Lock;
  /** Where what was in the way has been moved. */
  readonly setAside: readonly string[];

  constructor(path: string, final: string, failed: string, lock: Lock, setAside: readonly string[]) {
    this.path = path;
    this.#final = final;
    this.#failed = failed;
    this.#lock = lock;
    this.setAside = setAside;
  }

  /** Bytes of the files that grow while the run is made, by name: those of its sinks, `ranks.csv`. */
  lengths(): Record<string, number> {
    const grown = filesIn(this.path).filter((file) => !WRITTEN_WHOLE.includes(file.split("/")[0]!));
    return Object.fromEntries(grown.map((file) => [file, fileSize(join(this.path, file))]));
  }

  /**
   * Brings the folder to where a run goes on: files that grow are cut, the rest of an earlier attempt goes.
   * @param lengths as they were then
   * @param keep other files and folders that stay
   */
  cutTo(lengths: Readonly<Record<string, number>>, keep: readonly string[] = []): void {
    this.#lock.check();
    for (const file of filesIn(this.path)) {
      if (file === EVENTS || keep.includes(file.split("/")[0]!)) continue;
      const length = lengths[file];
      if (length === undefined) rmSync(join(this.path, file), { force: true });
      else truncateSync(join(this.path, file), length);
    }
  }

  /** Writes a file of the run, durably. */
  write(file: string, content: string | Uint8Array): void {
    this.#lock.beat();
    const handle = openSync(join(this.path, file), "w");
    try {
      writeFileSync(handle, content);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
  }

  /** Writes a file so that there is the one before or this one, whatever happens. */
  replace(file: string, content: string | Uint8Array): void {
    const next = `${file}.new`;
    this.write(next, content);
    renameSync(join(this.path, next), join(this.path, file));
  }

  has(file: string): boolean {
    return existsSync(join(this.path, file));
  }

  remove(file: string): void {
    rmSync(join(this.path, file), { recursive: true, force: true });
  }

  writeJson(file: string, value: unknown): void {
    this.write(file, `${JSON.stringify(value, null, 2)}\n`);
  }

  append(file: string, line: string): void {
    this.#lock.beat();
    appendFileSync(join(this.path, file), `${line}\n`);
  }

  /** One line in `events.jsonl`. */
  event(event: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.append(EVENTS, JSON.stringify({ time: new Date().toISOString(), event, ...fields }));
  }

  /** Still ours? @throws LostLock */
  check(): void {
    this.#lock.check();
  }

  /** Publishes the folder under the run's name. False when another writer was first; this folder is then removed. */
  commit(result: RunResult, measures: RunMeasures): boolean {
    this.writeJson(MEASURES, measures);
    this.writeJson(RESULT, result);
    writeDigests(this.path, CHECKPOINTS);
    this.#lock.check();
    this.remove(CHECKPOINTS);
    // the lock goes along, so that nobody begins with what is about to be finished
    if (!this.#publish()) {
      this.discard();
      return false;
    }
    this.#lock.release(this.#final);
    // A failure of an earlier attempt is history once the run has succeeded.
    rmSync(this.#failed, { recursive: true, force: true });
    return true;
  }

  #publish(): boolean {
    try {
      renameSync(this.path, this.#final);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== "ENOTEMPTY" && code !== "EEXIST" && code !== "ENOTDIR") throw error;
      if (hasResult(this.#final)) return false;
      // somebody put another folder there in the meantime
      moveAside(this.#final, basename(this.#final), dirname(this.#final));
      renameSync(this.path, this.#final);
    }
    return true;
  }

  /** Removes the folder: nothing of the run was worth keeping. */
  discard(): void {
    rmSync(this.path, { recursive: true, force: true });
    this.#lock.release();
  }

  /** Gives the folder back as it is, for who goes on with the run. */
  leave(): void {
    this.#lock.release();
  }

  /** Keeps what there is, the last good checkpoint included, under `.failed-<name>`, and returns that path. */
  fail(error: Error): string {
    this.event("failed", { message: error.message });
    this.writeJson("error.json", { name: error.name, message: error.message });
    rmSync(this.#failed, { recursive: true, force: true });
    renameSync(this.path, this.#failed);
    this.#lock.release(this.#failed);
    return this.#failed;
  }
}
