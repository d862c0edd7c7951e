/** Persistent device storage behind parameters and realized tensors. `version` counts in-place writes. */
import type { DType } from "../dtype.ts";
import type { Engine } from "../engine.ts";
import type { Storage } from "./storage.ts";

export class Cell {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly storage: Storage;
  readonly engine: Engine;
  version = 0;
  disposed = false;
  /** Runs that wait before they execute and will use it: what they find must be what they were given. */
  held = 0;

  constructor(engine: Engine, dtype: DType, shape: readonly number[], storage: Storage) {
    this.engine = engine;
    this.dtype = dtype;
    this.shape = shape;
    this.storage = storage;
    registry.register(this, { engine, storage }, this);
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    registry.unregister(this);
    if (this.held === 0) this.engine.release(this.storage);
  }

  letGo(): void {
    if (--this.held === 0 && this.disposed) this.engine.release(this.storage);
  }
}

/** Frees storage whose last handle was collected; `dispose` is the prompt way. */
const registry = new FinalizationRegistry<{ engine: Engine; storage: Storage }>(({ engine, storage }) =>
  engine.release(storage),
);
