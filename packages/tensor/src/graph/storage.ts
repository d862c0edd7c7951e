/** Device memory as the graph sees it. */
import type { DType, TypedArray } from "../dtype.ts";

/** Opaque device storage of one tensor. */
export interface Storage {
  readonly bytes: number;
}

/** Whoever keeps storage: an engine. */
export interface StorageOwner {
  allocate(dtype: DType, size: number): Storage;
  write(storage: Storage, dtype: DType, data: TypedArray): void;
  release(storage: Storage): void;
}
