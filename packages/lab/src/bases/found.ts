/**
 * Where the base of a study is: whatever `fromPretrained` takes, a folder, a file, a URL, a model of the hub. What it is and which files it
 * consists of, before a weight is read.
 */
import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { locateCheckpoint, type LocatedCheckpoint } from "@lowrank/models";
import { LowrankError, type Files } from "@lowrank/tensor";
import { revisionOf } from "../data/location.ts";
import { statOf } from "../data/read-file.ts";
import { asInput, InputError } from "../errors.ts";

/** A base as a study says it. */
export interface BaseSource {
  readonly base: string;
  /** Branch, tag or commit of a model of the hub. */
  readonly revision?: string | undefined;
}

/**
 * What a person says on the command line, as it is kept: a path that does not depend on the working directory; web addresses and models of the
 * hub as they are, in the order that `fromPretrained` has.
 */
export function baseWord(said: string): string {
  const [first = "", second, ...more] = said.split("/");
  const hub = second !== undefined && more.length === 0 && /^\w[\w.-]*$/.test(first) && /^\w[\w.-]*$/.test(second);
  const elsewhere = /^[a-z][a-z\d+.-]+:/i.test(said) || (hub && !/\.(?:gguf|bin)$/i.test(said));
  return elsewhere && statOf(said) === undefined ? said : resolve(said);
}

/** @throws InputError where there is no checkpoint, or none that can be read */
export async function findBase(source: BaseSource): Promise<LocatedCheckpoint> {
  return asInput(async () => {
    try {
      return await locateCheckpoint(source.base, revisionOf(source));
    } catch (error) {
      if (error instanceof LowrankError && error.kind === "input")
        throw new InputError(`base: ${error.message}`, { cause: error });
      throw error;
    }
  });
}

/**
 * Content of a base: SHA-256 over the files that loading reads, as hex; of files whose place knows their hash, that is hashed instead, and
 * nothing is read.
 */
export async function baseIdentity(source: BaseSource): Promise<string> {
  const { files, names } = await findBase(source);
  return asInput(() => contentHash(files, names));
}

const PIECE = 1 << 20;

/** SHA-256 over the bytes of files, in order, each after its length: for files here the same as `hashFiles` gives. */
export async function contentHash(files: Files, names: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const name of names) {
    const known = await files.fingerprint?.(name);
    if (known !== undefined) {
      hash.update(`known ${JSON.stringify([name, known])}`);
      continue;
    }
    const file = await files.open(name);
    try {
      hash.update(`${file.size}:`);
      for (let at = 0; at < file.size; at += PIECE) hash.update(await file.read(at, Math.min(file.size, at + PIECE)));
    } finally {
      await file.close?.();
    }
  }
  return hash.digest("hex");
}
