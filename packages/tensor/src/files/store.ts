/** A place that holds a checkpoint's files by name: a directory, and whatever else can give a file's bytes by range. */
import type { RandomAccess } from "./random-access.ts";

/** Bytes of a file that is being written, piece by piece. */
export type ByteSink = (bytes: Uint8Array) => Promise<void> | void;

/** Files to be read. Names are relative and use `/`. */
export interface Files {
  /** What the place is called in messages. */
  readonly where: string;
  /** @throws LowrankError where it cannot be told, as without a permission */
  exists(name: string): Promise<boolean>;
  /** A whole text file. @throws LowrankError where there is none, or it is not UTF-8 */
  text(name: string): Promise<string>;
  /** A file by range; nothing is read yet. To be closed by who opened it. @throws LowrankError where there is none */
  open(name: string): Promise<RandomAccess>;
  /** Every name there is; absent where a place cannot list itself, as a plain web server cannot. */
  list?(): Promise<readonly string[]>;
  /**
   * A text that is another one whenever the bytes of the file are, where the place knows one without reading them: the hash that a hub announces;
   * absent where a place never knows.
   */
  fingerprint?(name: string): Promise<string | undefined>;
  /** What is in the place of a file that `exists` has denied, where that is known, in words; absent where a place never knows more. */
  instead?(name: string): string | undefined;
}

/** Files that can be written too. */
export interface WritableFiles extends Files {
  /** Writes a file whole or not at all. */
  write(name: string, produce: (sink: ByteSink) => Promise<void>): Promise<void>;
  /** Takes a file away that is there; absent where a place cannot. */
  remove?(name: string): Promise<void>;
}
