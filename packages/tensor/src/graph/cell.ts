/**
 * Persistent device storage behind parameters and realized tensors. Each write in place is a version, so that a tensor can tell whether what
 * it was built from is still there. A step that is going to write announces its version before it runs; where it does not happen, that
 * version never comes back, and tensors which were built on it stay stale.
 *
 *     versions            step a is announced: 0 1    step b: 0 1 2    a fails: 0 2    b has run: 2
 *     tensors of version  1 are right                 2                2               2
 */
import type { DType } from "../dtype.ts";
import type { Storage, StorageOwner } from "./storage.ts";

export class Cell {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly storage: Storage;
  readonly #owner: StorageOwner;
  /** What memory holds, then what announced steps will make of it, in order. */
  #versions = [0];
  /** No number is used twice. */
  #last = 0;
  disposed = false;
  /** Runs that wait before they execute and will use it: what they find must be what they were given. */
  held = 0;

  constructor(owner: StorageOwner, dtype: DType, shape: readonly number[], storage: Storage) {
    this.#owner = owner;
    this.dtype = dtype;
    this.shape = shape;
    this.storage = storage;
    registry.register(this, { owner, storage }, this);
  }

  /** What readers are built on now: what the last announced step will have written. */
  get version(): number {
    return this.#versions.at(-1)!;
  }

  /** Whether memory holds this version, or will when the steps that were announced have run. */
  knows(version: number): boolean {
    return this.#versions.includes(version);
  }

  /** The version that a step will write. */
  announce(): number {
    this.#versions.push(++this.#last);
    return this.#last;
  }

  /** The step has run. */
  wrote(version: number): void {
    const at = this.#versions.indexOf(version);
    if (at > 0) this.#versions.splice(0, at);
  }

  /** The step did not happen. */
  withdraw(version: number): void {
    const at = this.#versions.indexOf(version);
    if (at > 0) this.#versions.splice(at, 1);
  }

  /** Memory was written beside all steps. */
  overwritten(): void {
    this.#versions = [++this.#last];
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    registry.unregister(this);
    if (this.held === 0) this.#owner.release(this.storage);
  }

  letGo(): void {
    if (--this.held === 0 && this.disposed) this.#owner.release(this.storage);
  }
}

/** Frees storage whose last handle was collected; `dispose` is the prompt way. */
const registry = new FinalizationRegistry<{ owner: StorageOwner; storage: Storage }>(({ owner, storage }) =>
  owner.release(storage),
);
