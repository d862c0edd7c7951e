/**
 * The lazy graph. A node is an operation that has not run: its record, inputs, attributes, dtype and static shape.
 * The graph is also the tape: gradients are built by walking it backwards. It holds no data except at leaves.
 */
import type { DType, TypedArray } from "../dtype.ts";
import type { Template } from "../ir/template.ts";
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
  /** @param wanted of which inputs a gradient is asked */
  readonly rule: (g: Node, wanted: readonly boolean[]) => readonly (Node | undefined)[];
}

/**
 * What a composed op says of the nodes it made, so that a device may compute them as one thing (`Template`). The nodes stand in the graph as
 * ever: gradients, checks, traces and the reference see them and nothing else, and so does a device that takes nothing. The name is, like
 * that of a StableHLO composite, a promise of what the outputs are; the nodes between inputs and outputs are its definition.
 */
export interface Composite {
  readonly name: string;
  /** All tensors that the outputs are made of. */
  readonly inputs: readonly Node[];
  readonly outputs: readonly Node[];
  /** Numbers, words and flags; part of a program's structure. */
  readonly attrs: Attrs;
  /**
   * What devices may compute it by, of kernels of the IR, or of native ones where it requires a feature; the device's own templates are asked first. That of a
   * decoded weight ("dequantize") is asked about products with the weight too.
   */
  readonly template?: Template;
}

let nextId = 0;
let scopeStack: string[] = [];

export class Node {
  readonly id: number = nextId++;
  readonly primitive: Primitive;
  readonly inputs: readonly Node[];
  readonly attrs: Attrs;
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** Module path at creation, for error messages and profiles. */
  readonly scope: string = scopeStack.join(".");
  /** Present on leaves; set on any node once it has been realized. */
  leaf: Leaf | undefined;
  vjp: CustomVjp | undefined;
  /** Composites that it is an output of, inner ones first. */
  composites: readonly Composite[] | undefined;

  constructor(
    primitive: Primitive,
    inputs: readonly Node[],
    attrs: Attrs,
    shape: readonly number[],
    dtype: DType,
    leaf?: Leaf,
  ) {
    this.primitive = primitive;
    this.inputs = inputs;
    this.attrs = attrs;
    this.shape = shape;
    this.dtype = dtype;
    this.leaf = leaf;
  }
}

/** Nodes made while `body` runs have exactly this scope, wherever it is called. */
export function atScope<T>(scope: string, body: () => T): T {
  const saved = scopeStack;
  scopeStack = [scope];
  try {
    return body();
  } finally {
    scopeStack = saved;
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
