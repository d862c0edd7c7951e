/**
 * The lazy graph. A node is an operation that has not run: its record, inputs, attributes, dtype and static shape.
 * The graph is also the tape: gradients are built by walking it backwards. It holds no data except at leaves.
 */
import type { DType, TypedArray } from "../dtype.ts";
import type { Attrs, Primitive } from "../primitives/primitive.ts";
import type { Cell } from "./cell.ts";
import type { Constant } from "./constant.ts";

/** Where a leaf's values come from. */
export type Leaf =
  /** Host data, copied in by every plan that reads it. */
  | { readonly kind: "host"; data: TypedArray }
  /** Host data that stays on the device once it is there. */
  | { readonly kind: "constant"; readonly constant: Constant }
  /** A persistent buffer; `version` is the cell's version this node was made for. */
  | { readonly kind: "cell"; readonly cell: Cell; readonly version: number }
  /** Host values produced anew at every execution, so that a replayed plan cannot freeze them. */
  | { readonly kind: "live"; readonly produce: () => TypedArray; readonly revoke: () => void }
  /** An input of a compiled function; bound at every call. */
  | { readonly kind: "input"; readonly name: string };

/** A gradient that replaces differentiation through a composed op's primitives: from that of the node to those of `inputs`. */
export interface CustomVjp {
  readonly inputs: readonly Node[];
  readonly rule: (g: Node) => readonly (Node | undefined)[];
}

let nextId = 0;
let scopeStack: string[] = [];

export class Node {
  readonly id: number = nextId++;
  readonly record: Primitive;
  readonly inputs: readonly Node[];
  readonly attrs: Attrs;
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** Module path at creation, for error messages and profiles. */
  readonly scope: string = scopeStack.join(".");
  /** Present on leaves; set on any node once it has been realized. */
  leaf: Leaf | undefined;
  vjp: CustomVjp | undefined;

  constructor(
    record: Primitive,
    inputs: readonly Node[],
    attrs: Attrs,
    shape: readonly number[],
    dtype: DType,
    leaf?: Leaf,
  ) {
    this.record = record;
    this.inputs = inputs;
    this.attrs = attrs;
    this.shape = shape;
    this.dtype = dtype;
    this.leaf = leaf;
  }
}

/** Nodes made while `body` runs carry `name` in their scope. */
export function withScope<T>(name: string, body: () => T): T {
  const saved = scopeStack;
  scopeStack = name === "" ? saved : [...saved, name];
  try {
    return body();
  } finally {
    scopeStack = saved;
  }
}
