/**
 * Run folders. Work happens in `.tmp-…`; a finished run becomes visible by one rename, and the first writer wins. Nothing
 * half-written ever carries a run's name, so killing a process at any time leaves at worst a `.tmp-…` folder, which the next attempt moves
 * to `.set-aside-…`, as it does with a folder of the run's name that holds no result. What is read again is checked by its digests.
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
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { quote } from "@lowrank/tensor";
import { parseJson } from "@lowrank/tensor/check";
import type { ResolvedConfig } from "../config/study.ts";
import { methods } from "../methods/registry.ts";
import { validate } from "../config/validate.ts";
import { readText, statOf } from "../data/read-file.ts";
import { asInput, InputError } from "../errors.ts";
import { checkDigests, requireListed, writeDigests } from "./digests.ts";
import { isAlive } from "./processes.ts";
import { measuresSchema, type FinishedRun, type RunMeasures } from "./measures.ts";
import type { RunResult } from "./result.ts";
import { configSchema, resultSchema } from "./result-schema.ts";

const RESULT = "result.json";
const MEASURES = "measures.json";
const CONFIG = "config.json";
/** Folder in an adapter's run with the base that was drawn for it. */
export const BASE = "base";

export class RunStore {
  /** `<out>/runs`. */
  readonly folder: string;

  constructor(out: string) {
    this.folder = join(out, "runs");
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Result of a finished run, if it is there. @throws InputError where the folder is not what the run wrote */
  finished(name: string): FinishedRun | undefined {
    const folder = this.path(name);
    if (!hasResult(folder)) return undefined;
    const fix = "move the folder away or delete it, and the run is made again";
    const listed = checkDigests(folder, fix);
    requireListed(folder, listed, [RESULT], fix);
    const said = readJson(join(folder, RESULT));
    const result = validate(resultSchema, said, join(folder, RESULT));
    // runs of earlier versions have their measures in the result
    const measured = typeof said === "object" && said !== null && "seconds" in said ? RESULT : MEASURES;
    requireListed(folder, listed, [CONFIG, measured], fix);
    const {
      study,
      seed: _,
      ...resolved
    } = validate(configSchema, readJson(join(folder, CONFIG)), join(folder, CONFIG));
    requireListed(folder, listed, filesOf(result.method, resolved), fix);
    if (result.name !== name)
      throw new InputError(`${folder}: is a copy of the run ${quote(result.name)} under another name; ${fix}`);
    const at = join(folder, measured);
    return { ...result, study, resolved, measures: validate(measuresSchema, readJson(at), at) };
  }

  /** Results of every finished run in the store. */
  all(): FinishedRun[] {
    if (!existsSync(this.folder)) return [];
    const names = readdirSync(this.folder)
      .filter((name) => !name.startsWith("."))
      .sort();
    return names.map((name) => this.finished(name)).filter((result) => result !== undefined);
  }

  /** A fresh work folder for the run. */
  begin(name: string): RunFolder {
    try {
      mkdirSync(this.folder, { recursive: true });
    } catch (error) {
      throw new InputError(
        `--out: cannot create ${this.folder} (${(error as NodeJS.ErrnoException).code}); choose a folder you may write to`,
        { cause: error },
      );
    }
    const setAside = [
      ...this.#leftBehind(name),
      ...(statOf(this.path(name)) === undefined || hasResult(this.path(name)) ? [] : [this.path(name)]),
    ].map((from) => moveAside(from, name, this.folder));
    const path = join(this.folder, `.tmp-${name}-${process.pid}-${randomUUID().slice(0, 8)}`);
    mkdirSync(path);
    return new RunFolder(path, this.path(name), join(this.folder, `.failed-${name}`), setAside);
  }

  /** Work folders of this run whose process is gone. */
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

function hasResult(folder: string): boolean {
  return statOf(join(folder, RESULT)) !== undefined;
}

/** What every finished run of the method has; of a method that is not known here, what every run has. */
function filesOf(method: string, resolved: Pick<ResolvedConfig, "base">): string[] {
  const leaves = methods.has(method) ? methods.get(method).leaves : undefined;
  const weights = ["config.json", "model.safetensors"];
  const trained = {
    adapter: [
      "adapter/adapter_config.json",
      "adapter/adapter_model.safetensors",
      ...(resolved.base === null ? weights.map((file) => `${BASE}/${file}`) : []),
    ],
    checkpoint: weights.map((file) => `checkpoint/${file}`),
    none: [],
  }[leaves ?? "none"];
  return [CONFIG, "env.json", "events.jsonl", "metrics.csv", "predictions.jsonl", ...trained];
}

/** A result of a hundred modules has 100 kB. */
const LARGEST_RESULT = 2 ** 26;

function readJson(path: string): unknown {
  return asInput(() => parseJson(readText(path, LARGEST_RESULT), path));
}

export class RunFolder {
  /** Where the run writes while it is not finished. */
  readonly path: string;
  private readonly final: string;
  private readonly failed: string;
  /** Where unfinished folders of this run have been moved. */
  readonly setAside: readonly string[];

  constructor(path: string, final: string, failed: string, setAside: readonly string[]) {
    this.path = path;
    this.final = final;
    this.failed = failed;
    this.setAside = setAside;
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

  has(file: string): boolean {
    return existsSync(join(this.path, file));
  }

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
  commit(result: RunResult, measures: RunMeasures): boolean {
    this.writeJson(MEASURES, measures);
    this.writeJson(RESULT, result);
    writeDigests(this.path);
    try {
      renameSync(this.path, this.final);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== "ENOTEMPTY" && code !== "EEXIST" && code !== "ENOTDIR") throw error;
      if (hasResult(this.final)) {
        rmSync(this.path, { recursive: true });
        return false;
      }
      // somebody put another folder there in the meantime
      moveAside(this.final, basename(this.final), dirname(this.final));
      renameSync(this.path, this.final);
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
