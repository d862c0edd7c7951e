/** A plan: kernels in the order they run, over one arena whose offsets were fixed by lifetime analysis. */
import type { DType } from "../dtype.ts";
import type { Kernel } from "../ir/kernel.ts";

/** Bytes that a kernel argument lives in. */
export type BufferRef =
  /** Inside the plan's arena. */
  | { readonly kind: "arena"; readonly offset: number; readonly bytes: number }
  /** The `slot`-th buffer bound at run time, from byte `offset` on: a parameter, a realized tensor, an output. */
  | { readonly kind: "bound"; readonly slot: number; readonly offset: number; readonly bytes: number };

export interface Step {
  /** Index into `kernels`. */
  readonly kernel: number;
  /** One per kernel argument. */
  readonly args: readonly BufferRef[];
  /** Where it came from, for profiles and error messages: `bert.encoder.layer.0 matmul+gelu`. */
  readonly label: string;
}

/** Host data copied into the arena at the start of every run (batches, live values such as the learning rate). */
export interface Upload {
  readonly ref: BufferRef;
  readonly dtype: DType;
  readonly size: number;
}

export interface Plan {
  readonly kernels: readonly Kernel[];
  readonly steps: readonly Step[];
  readonly arenaBytes: number;
  readonly uploads: readonly Upload[];
  /** Bytes of each bound slot. */
  readonly bound: readonly { readonly bytes: number; readonly access: "read" | "write" | "readwrite" }[];
}
