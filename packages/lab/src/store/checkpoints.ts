/**
 * Checkpoints of a training: `checkpoints/step-000123/`, each a whole state with its digests. One appears by a rename when everything of it is on
 * the disk, and only then do older ones go, so that a process killed at any point leaves the last whole one.
 */
import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import * as node from "node:fs/promises";
import { join } from "node:path";
import { LowrankError, openFile, SafetensorsFile, writeEntries, type StoredTensor } from "@lowrank/tensor";
import { z } from "zod";
import { validate } from "../config/validate.ts";
import { readText } from "../data/read-file.ts";
import { InputError } from "../errors.ts";
import type { Json, Saved, State } from "../train/state.ts";
import { checkDigests, requireListed, SUMS } from "./digests.ts";
import { fromText, toText } from "./exact-json.ts";

/** The folder of checkpoints in that of what is trained. */
export const CHECKPOINTS = "checkpoints";
const TENSORS = "state.safetensors";
const VALUES = "state.json";
/** Begins the name of one that is not whole yet. */
const FRESH = ".new-";
const FORMAT = 1;
/** A regularizer and a loss for each of a million steps. */
const LARGEST_VALUES = 2 ** 26;

/** What Windows and some network file systems answer. */
const CANNOT_SYNC: ReadonlySet<string> = new Set(["EISDIR", "EINVAL", "ENOTSUP", "EPERM"]);

/** What of the file system writing takes, as `node:fs/promises` has it; tests stop it at any call. */
export interface Disk {
  mkdir(path: string, options: { readonly recursive: true }): Promise<unknown>;
  open(path: string, flags: string): Promise<DiskFile>;
  readdir(path: string): Promise<string[]>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options: { readonly recursive: true; readonly force: true }): Promise<void>;
}

export interface DiskFile {
  writeFile(bytes: Uint8Array): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** What is noted beside a state. */
export interface Noted {
  /** Finished steps. */
  readonly step: number;
  /** Bytes of the files that grow, by name: who goes on cuts them to this. */
  readonly lengths: Readonly<Record<string, number>>;
  /** Seconds so far, over all attempts. */
  readonly seconds: { readonly total: number; readonly training: number };
}

/** One that was read: sound, and of this training. */
export interface Checkpoint extends Noted {
  readonly path: string;
  readonly saved: Saved;
}

const schema = z.object({
  format: z.literal(FORMAT),
  identity: z.string(),
  step: z.number().int().min(0),
  lengths: z.record(z.string(), z.number().int().min(0)),
  seconds: z.object({ total: z.number(), training: z.number() }),
  values: z.unknown(),
});

export class Checkpoints {
  /** `<folder>/checkpoints`. */
  readonly folder: string;
  readonly #of: string;
  readonly #identity: string;
  readonly #keep: number;
  readonly #disk: Disk;

  /**
   * @param folder of what is trained
   * @param identity of the training; states of another one are refused
   * @param keep how many there are at a time
   */
  constructor(
    folder: string,
    { identity, keep, disk = node }: { readonly identity: string; readonly keep: number; readonly disk?: Disk },
  ) {
    this.#of = folder;
    this.folder = join(folder, CHECKPOINTS);
    this.#identity = identity;
    this.#keep = keep;
    this.#disk = disk;
  }

  /** Writes one durably and removes all but the last. There must be none of the step. Returns its folder. @throws what the file system says, and older ones are as they were */
  async save(state: State, noted: Noted): Promise<string> {
    const disk = this.#disk;
    const name = `step-${String(noted.step).padStart(6, "0")}`;
    const [path, fresh] = [join(this.folder, name), join(this.folder, `${FRESH}${name}`)];
    try {
      await disk.rm(fresh, { recursive: true, force: true });
      await disk.mkdir(fresh, { recursive: true });
      const values = toText({ format: FORMAT, identity: this.#identity, ...noted, values: state.values });
      const sums = [
        await this.#write(fresh, TENSORS, (sink) => writeEntries(sink, state.tensors)),
        await this.#write(fresh, VALUES, (sink) => sink(Buffer.from(values))),
      ];
      await this.#write(fresh, SUMS, (sink) => sink(Buffer.from(sums.join(""))));
      // what is cut to these lengths must be there
      for (const file of Object.keys(noted.lengths)) await this.#sync(join(this.#of, file));
      await this.#sync(fresh);
      await disk.rename(fresh, path);
      await this.#sync(this.folder);
    } catch (error) {
      await disk.rm(fresh, { recursive: true, force: true }).catch(() => {});
      throw error;
    }
    for (const { at } of (await this.#list()).slice(this.#keep)) await disk.rm(at, { recursive: true, force: true });
    return path;
  }

  /** A file on the disk. Returns its line of digests. */
  async #write(
    folder: string,
    name: string,
    produce: (sink: (bytes: Uint8Array) => Promise<void>) => Promise<void>,
  ): Promise<string> {
    const hash = createHash("sha256");
    const handle = await this.#disk.open(join(folder, name), "w");
    try {
      await produce(async (bytes) => {
        hash.update(bytes);
        await handle.writeFile(bytes);
      });
      await handle.sync();
    } finally {
      await handle.close();
    }
    return `${hash.digest("hex")}  ${name}\n`;
  }

  /** What is there is on the disk, where the system can tell that of folders and of files that are open for reading. */
  async #sync(path: string): Promise<void> {
    try {
      const handle = await this.#disk.open(path, "r");
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    } catch (error) {
      if (!CANNOT_SYNC.has((error as NodeJS.ErrnoException).code ?? "")) throw error;
    }
  }

  /** Steps of those there are, sound or not, the last first. */
  async steps(): Promise<number[]> {
    return (await this.#list()).map(({ step }) => step);
  }

  async #names(): Promise<string[]> {
    try {
      return await this.#disk.readdir(this.folder);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    }
  }

  /** Whole ones, sound or not, the last first. */
  async #list(): Promise<{ readonly at: string; readonly step: number }[]> {
    return (await this.#names())
      .flatMap((name) => {
        const [, step] = /^step-(\d+)$/.exec(name) ?? [];
        return step === undefined ? [] : [{ at: join(this.folder, name), step: Number(step) }];
      })
      .sort((a, b) => b.step - a.step);
  }

  /**
   * The last sound one; undefined where there is none. One that is damaged goes, with a line.
   * @throws InputError where one is of another training
   */
  async newest(say: (line: string) => void): Promise<Checkpoint | undefined> {
    for (const name of await this.#names())
      if (name.startsWith(FRESH)) await this.#disk.rm(join(this.folder, name), { recursive: true, force: true });
    for (const { at } of await this.#list()) {
      try {
        return await this.#read(at);
      } catch (error) {
        if (error instanceof OtherTraining || !(error instanceof LowrankError || "syscall" in (error as object)))
          throw error;
        say(`a saved state is damaged and is passed over: ${(error as Error).message}`);
        await this.#disk.rm(at, { recursive: true, force: true });
      }
    }
    return undefined;
  }

  async #read(at: string): Promise<Checkpoint> {
    const fix = "the one before is taken";
    requireListed(at, checkDigests(at, fix), [TENSORS, VALUES], fix);
    const path = join(at, VALUES);
    const { identity, values, step, lengths, seconds } = validate(
      schema,
      fromText(readText(path, LARGEST_VALUES), path),
      path,
    );
    if (identity !== this.#identity)
      throw new OtherTraining(
        `${at}: is the state of another configuration, other data or another version; move it away or delete it to begin anew`,
      );
    for (const [file, length] of Object.entries(lengths))
      if ((statSync(join(this.#of, file), { throwIfNoEntry: false })?.size ?? 0) < length)
        throw new InputError(`${at}: ${file} has lost lines that were written before it; ${fix}`);
    const file = await SafetensorsFile.open(await openFile(join(at, TENSORS)));
    try {
      const tensors = new Map<string, StoredTensor>();
      for (const name of file.names) tensors.set(name, await file.read(name));
      return { path: at, step, lengths, seconds, saved: { values: values as Json, tensors } };
    } finally {
      await file.close();
    }
  }
}

class OtherTraining extends InputError {}
