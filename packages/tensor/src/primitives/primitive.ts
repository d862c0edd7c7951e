/**
 * What a node of the graph points to: the meaning of a primitive and how a kernel computes it. Primitives know neither tensors nor
 * gradients nor devices; whatever is above reads them, and the reference device is nothing but their definitions.
 */
import type { BinaryOp } from "../ir/kernel.ts";
import type { UnaryOp } from "./scalar.ts";

/** A dense row-major array in f64: integers and booleans as numbers. The reference backend's only value. */
export interface NdArray {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** What a primitive is told beside its inputs; part of a program's structure. */
export type Attrs = Readonly<Record<string, unknown>>;

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
  | { readonly class: "update" }
  | { readonly class: "assemble" }
  | { readonly class: "leaf" };

export interface Primitive {
  readonly name: string;
  readonly lowering: Lowering;
  /** Relative cost of recomputing one element: 0 free, 1 arithmetic, 8 and more transcendental. */
  readonly cost: number;
  /** The definition, in f64. Results are rounded to the node's dtype by the caller. */
  readonly reference: (inputs: readonly NdArray[], attrs: Attrs, shape: readonly number[]) => Float64Array;
}
