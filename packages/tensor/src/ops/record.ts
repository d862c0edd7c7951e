/**
 * What an op is. One record holds everything the rest of the engine wants to know: how to build it, what it means in f64,
 * how it differentiates, how a kernel computes it and how to sample it for tests. Registries, gradient checks, parity tests
 * and the table in the docs are derived from these records.
 */
import type { DType } from "../dtype.ts";
import type { Attrs } from "../graph/node.ts";
import type { BinaryOp, UnaryOp } from "../ir/kernel.ts";
import type { PrecisionClass } from "../precision.ts";
import type { Tensor } from "../tensor.ts";
import type { Toolbox } from "./toolbox.ts";

/** A dense row-major array in f64: integers and booleans as numbers. The reference backend's only value. */
export interface NdArray {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** Error classes; the numbers and their derivation are in @lowrank/numerics. */
export type ToleranceClass =
  /** No arithmetic: bits are moved. */
  | "exact"
  /** One correctly rounded operation. */
  | "arithmetic"
  /** A transcendental function with a documented ulp bound. */
  | "transcendental"
  /** A sum of n terms: error grows with n and with the sum of magnitudes. */
  | "reduction"
  /** A short composition of the above along a row. */
  | "row";

/** Draws arguments for tests. Tensors are described, not made, so that the same sample runs on every device. */
export interface SampleSource {
  integer(min: number, max: number): number;
  /** The size of a dimension: `min` (default 1) to `max`; 0 too in tests of tensors without elements. */
  size(max: number, min?: number): number;
  pick<T>(options: readonly T[]): T;
  boolean(): boolean;
  /** A shape of `minRank`–`maxRank` dimensions (default 0–3) of 1–6. */
  shape(options?: { minRank?: number; maxRank?: number; minDim?: number; maxDim?: number }): number[];
  /** A shape that broadcasts with `shape`. */
  broadcastable(shape: readonly number[]): number[];
  /** Values in [min, max], at least `gap` away from each of `avoid` (kinks, poles). `distinct` keeps any two values `gap` apart. */
  tensor(shape: readonly number[], options?: TensorSample): TensorSpec;
  ints(shape: readonly number[], min: number, max: number): TensorSpec;
  bools(shape: readonly number[]): TensorSpec;
}

export interface TensorSample {
  readonly min?: number;
  readonly max?: number;
  readonly avoid?: readonly number[];
  readonly gap?: number;
  readonly distinct?: boolean;
  /** Intervals in which an elementwise function is small, or close to a limit, and must be right relative to itself. */
  readonly tails?: readonly (readonly [number, number])[];
}

/** A tensor to be made on whichever device the test runs. Only float tensors are differentiated. */
export interface TensorSpec {
  readonly spec: true;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly data: Float64Array;
  /** Whether the values come from `TensorSample.tails`. */
  readonly tails?: boolean;
}

export interface OpRecord<Args extends readonly unknown[] = readonly never[], Out = Tensor> {
  readonly name: string;
  /** One line for the docs, with shapes. */
  readonly doc: string;
  /** Builds the op from its arguments; nothing runs. */
  readonly call: (t: Toolbox, ...args: Args) => Out;
  readonly tolerance: ToleranceClass;
  /** What happens to half-precision operands; absent: nothing. */
  readonly precision?: PrecisionClass;
  /** False where a gradient does not exist or is not wanted (comparisons, random bits, rounding). */
  readonly differentiable: boolean;
  /** Arguments for one test case; TensorSpec stands for a tensor, at any depth. */
  readonly sample: (g: SampleSource) => readonly unknown[];
}

/** How a kernel computes a primitive. The scheduler reads this and never the name. */
export type Lowering =
  | { readonly class: "unary"; readonly op: UnaryOp }
  | { readonly class: "binary"; readonly op: BinaryOp }
  | { readonly class: "select" }
  | { readonly class: "cast" }
  | { readonly class: "constant" }
  | { readonly class: "iota" }
  | { readonly class: "random" }
  | { readonly class: "dequantize" }
  | { readonly class: "view"; readonly view: "reshape" | "permute" | "expand" | "slice" | "pad" | "alias" }
  | { readonly class: "reduce"; readonly combine: "sum" | "max" }
  | { readonly class: "matmul" }
  | { readonly class: "gather" }
  | { readonly class: "scatter" }
  | { readonly class: "leaf" };

export interface VjpContext {
  readonly inputs: readonly Tensor[];
  readonly output: Tensor;
  readonly attrs: Attrs;
}

/** What every node points to: meaning, gradient and kernel form of a primitive. */
export interface Primitive {
  readonly name: string;
  readonly lowering: Lowering;
  /** Relative cost of recomputing one element: 0 free, 1 arithmetic, 8 and more transcendental. */
  readonly cost: number;
  /** The definition, in f64. Results are rounded to the node's dtype by the caller. */
  readonly reference: (inputs: readonly NdArray[], attrs: Attrs, shape: readonly number[]) => Float64Array;
  /** Gradient with respect to each input; undefined where there is none. */
  readonly vjp?: (t: Toolbox, g: Tensor, context: VjpContext) => readonly (Tensor | undefined)[];
}

export type PrimitiveRecord = Primitive;
