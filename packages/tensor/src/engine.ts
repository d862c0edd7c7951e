/**
 * The upper of the two seams: what executes a program (a graph with leaves bound). Either it takes graphs as they are, as the reference
 * does, which walks them in f64, or it is a `PlanEngine`, which lowers them for a `Backend`.
 */
import type { BackendInfo, MemoryInfo, StepTiming } from "./backends/backend.ts";
import type { DType, TypedArray } from "./dtype.ts";
import type { Program } from "./graph/program.ts";
import type { Storage, StorageOwner } from "./graph/storage.ts";

/** A program as an engine will run it, and what that takes. */
export interface Planned {
  readonly program: Program;
  /** Arena bytes a run needs; 0 on the reference engine. */
  readonly arenaBytes: number;
  /** Operations of its matrix products (`plan/flops.ts`); 0 on the reference engine, which plans none. */
  readonly flops: number;
  readonly kernels: number;
  readonly steps: number;
}

/** A result: kept in device storage, or already on the host when it is small and the device is synchronous. */
export type Result =
  | { readonly kind: "storage"; readonly storage: Storage }
  | { readonly kind: "host"; readonly data: TypedArray };

export interface ExecuteOptions {
  readonly timings?: StepTiming[] | undefined;
  /** Called once everything is written, before results are read. */
  readonly ran: () => void;
}

export interface Engine extends StorageOwner {
  readonly name: string;
  /** f64 on the reference engine, f32 elsewhere. */
  readonly defaultFloat: DType;
  supports(dtype: DType): boolean;
  /** Throws when so many more bytes cannot be had, as far as that can be known; allocates nothing. */
  ensureRoom(bytes: number): void;
  /** Elements as the memory form of `dtype`; f16/bf16 as raw bits. At once where memory is shared with the host. */
  read(storage: Storage, dtype: DType, size: number): TypedArray | Promise<TypedArray>;
  /** Lowers a program, at once and without making code. Equal programs may share what comes out. */
  plan(program: Program): Planned;
  /**
   * Makes the code of a plan: nothing where there is none to be made or it was done before, else a promise; while that is pending, the same
   * for everybody. Called before every run.
   * @throws (or rejects with) a LowrankError where it cannot be run. Nothing has changed then, and the next call tries again
   */
  prepare(planned: Planned): void | Promise<void>;
  /**
   * Runs a plan that has been prepared. `values` are in the order of `program.hostLeaves`, `storages` in that of `storagesOf(program)`.
   * @throws DeviceLostError where it failed half-way. Anything else that is thrown before `ran` was called has changed nothing.
   */
  execute(
    planned: Planned,
    values: readonly TypedArray[],
    storages: readonly Storage[],
    options: ExecuteOptions,
  ): Result[] | Promise<Result[]>;
  /** Bytes copied from the host since the device was opened: what was written into storage, and the host values of every run. */
  readonly uploadedBytes: number;
  memory(): MemoryInfo;
  info(): BackendInfo;
  close(): void;
}
