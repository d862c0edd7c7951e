/**
 * Precision as a rewrite of the graph while it is built: ops declare a precision class, and operands are cast to the dtype of the
 * class before the op's nodes are made. Models know nothing of it. Gradients follow: what was computed in f16 sends its gradient
 * back in f16, through the casts. Sums accumulate in f32 (f64 on `reference`) whatever they are made of, and a value is rounded to
 * half precision exactly where it would be stored.
 *
 * With or without a policy, ops that overflow or cancel in half precision (x² of a norm, the exponentials of a softmax) compute at
 * full precision inside.
 */
import type { DType } from "./dtype.ts";

/**
 * `compute`: products. `full`: softmax, losses, exponentials, sums: torch's autocast list. `norm`: as `full`, and the result is as wide as the
 * residual stream. `inner`: activations, whose result goes back to the dtype they were given. Ops without a class take what comes.
 */
export type PrecisionClass = "compute" | "full" | "norm" | "inner";

export interface PrecisionPolicy {
  readonly name: string;
  /** dtype frozen weights are kept in. */
  readonly storage: DType;
  /** dtype the operands and results of products are rounded to. */
  readonly compute: DType;
  /**
   * What the residual stream is carried in: what blocks hand on, the sums in them, and what norms give. `full`: f32 (f64 on `reference`), as torch's
   * autocast has it, so that a stream may grow beyond what half precision holds. `compute`: half precision, as in a model that was converted whole.
   */
  readonly stream: "full" | "compute";
  /** What sums are carried in; the engine knows no other way. */
  readonly accumulate: "f32";
}

export const mixedF16: PrecisionPolicy = {
  name: "mixed-f16",
  storage: "f16",
  compute: "f16",
  stream: "full",
  accumulate: "f32",
};
export const mixedBf16: PrecisionPolicy = {
  name: "mixed-bf16",
  storage: "bf16",
  compute: "bf16",
  stream: "full",
  accumulate: "f32",
};

let current: PrecisionPolicy | undefined;

/** Ops built while `body` runs follow `policy`; undefined turns an outer one off. */
export function withPrecision<T>(policy: PrecisionPolicy | undefined, body: () => T): T {
  const saved = current;
  current = policy;
  try {
    return body();
  } finally {
    current = saved;
  }
}

/** The policy in force. */
export function currentPrecision(): PrecisionPolicy | undefined {
  return current;
}
