/**
 * Run folders. Work happens in `.tmp-…`; a finished run becomes visible by one rename, and the first writer wins. Nothing
 * half-written ever carries a run's name, so killing a process at any time leaves at worst a `.tmp-…` folder.
 */
import { randomUUID } from "node:crypto";
import { appendFileSync, closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import type { RunResult } from "./result.ts";

export class RunStore {
  /** `<out>/runs`. */
  readonly folder: string;

  constructor(out: string) {
    this.folder = join(out, "runs");
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Result of a finished run, if it is there. */
  finished(name: string): RunResult | undefined {
    return readResult(join(this.path(name), "result.json"));
  }

  /** Results of every finished run in the store. */
  all(): RunResult[] {
    if (!existsSync(this.folder)) return [];
    const names = readdirSync(this.folder).filter((name) => !name.startsWith(".")).sort();
    return names.map((name) => this.finished(name)).filter((result) => result !== undefined);
  }

  /** A fresh work folder for the run. */
  begin(name: string): RunFolder {
    try {
      mkdirSync(this.folder, { recursive: true });
    } catch (error) {
      throw new InputError(`--out: cannot create ${this.folder} (${(error as NodeJS.ErrnoException).code}); choose a folder you may write to`, { cause: error });
    }
    const path = join(this.folder, `.tmp-${name}-${process.pid}-${randomUUID().slice(0, 8)}`);
    mkdirSync(path);
    return new RunFolder(path, this.path(name), join(this.folder, `.failed-${name}`));
  }
}

export class RunFolder {
  /** Where the run writes while it is not finished. */
  readonly path: string;
  private readonly final: string;
  private readonly failed: string;

  constructor(path: string, final: string, failed: string) {
    this.path = path;
    this.final = final;
    this.failed = failed;
  }

  /** Writes a file of the run, durably. */
  write(file: string, content: string | Uint8Array): void {
    const handle = openSync(join(this.path, file), "w");
    try {
      writeFileSync(handle, content);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
  }

  has(file: string): boolean { return existsSync(join(this.path, file)); }

  remove(file: string): void {
    rmSync(join(this.path, file), { force: true });
  }

  writeJson(file: string, value: unknown): void {
    this.write(file, `${JSON.stringify(value, null, 2)}\n`);
  }

  append(file: string, line: string): void {
    appendFileSync(join(this.path, file), `${line}\n`);
  }

  /** One line in `events.jsonl`. */
  event(event: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.append("events.jsonl", JSON.stringify({ time: new Date().toISOString(), event, ...fields }));
  }

  /** Publishes the folder under the run's name. False when another writer was first; this folder is then removed. */
  commit(result: RunResult): boolean {
    this.writeJson("result.json", result);
    try {
      renameSync(this.path, this.final);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error;
      rmSync(this.path, { recursive: true });
      return false;
    }
    // A failure of an earlier attempt is history once the run has succeeded.
    rmSync(this.failed, { recursive: true, force: true });
    return true;
  }

  /** Removes the folder: nothing of the run was worth keeping. */
  discard(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  /** Keeps what there is, the last good checkpoint included, under `.failed-<name>`, and returns that path. */
  fail(error: Error): string {
    this.event("failed", { message: error.message });
    this.writeJson("error.json", { name: error.name, message: error.message });
    rmSync(this.failed, { recursive: true, force: true });
    renameSync(this.path, this.failed);
    return this.failed;
  }
}

function readResult(path: string): RunResult | undefined {
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(readFileSync(path, "utf8")) as RunResult;
  } catch (error) {
    throw new InputError(`${path}: not valid JSON; delete the run's folder to run it again`, { cause: error });
  }
}
