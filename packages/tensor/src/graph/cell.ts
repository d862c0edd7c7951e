/** Persistent device storage behind parameters and realized tensors. `version` counts in-place writes. */
import type { DType } from "../dtype.ts";
import type { Storage, StorageOwner } from "./storage.ts";

export class Cell {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly storage: Storage;
  readonly #owner: StorageOwner;
  version = 0;
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
