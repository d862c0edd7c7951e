/**
 * What executes a program (a graph with leaves bound): either the reference interpreter, which walks the graph in f64,
 * or a backend that runs lowered plans.
 */
import type { BackendInfo, MemoryInfo, StepTiming } from "./backends/backend.ts";
import type { DType, TypedArray } from "./dtype.ts";
import type { Program } from "./graph/program.ts";

/** Opaque device storage of one tensor. */
export interface Storage {
  readonly bytes: number;
}

export interface Prepared {
  readonly program: Program;
  /** Arena bytes a run needs; 0 on the reference engine. */
  readonly arenaBytes: number;
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

export interface Engine {
  readonly name: string;
  /** f64 on the reference engine, f32 elsewhere. */
  readonly defaultFloat: DType;
  supports(dtype: DType): boolean;
  allocate(dtype: DType, size: number): Storage;
  /** Throws when so many more bytes cannot be had, as far as that can be known; allocates nothing. */
  ensureRoom(bytes: number): void;
  write(storage: Storage, dtype: DType, data: TypedArray): void;
  /** Elements as the memory form of `dtype`; f16/bf16 as raw bits. At once where memory is shared with the host. */
  read(storage: Storage, dtype: DType, size: number): TypedArray | Promise<TypedArray>;
  release(storage: Storage): void;
  prepare(program: Program): Prepared;
  /**
   * `values` and `storages` are in the order of `program.hostLeaves` and `program.cells`.
   * @throws DeviceLostError where it failed half-way. Anything else that is thrown before `ran` was called has changed nothing.
   */
  execute(
    prepared: Prepared,
    values: readonly TypedArray[],
    storages: readonly Storage[],
    options: ExecuteOptions,
  ): Result[] | Promise<Result[]>;
  memory(): MemoryInfo;
  info(): BackendInfo;
  close(): void;
}
