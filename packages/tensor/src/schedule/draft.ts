/** Kernels while they are being built: instructions of the kernel IR whose places are linear forms and whose arguments are still nodes. */
import type { Instr, ValueId, ValueType } from "../ir/kernel.ts";
import { keyOf } from "../key.ts";
import type { ScheduleNode } from "./graph.ts";
import type { LinearForm, SplitRequest } from "./linear-form.ts";

/** An instruction whose indices are still linear forms over the builder's dimensions. */
export type DraftInstr =
  | Exclude<Instr, { op: "load" } | { op: "coord" } | { op: "inbounds" }>
  | {
      readonly op: "load";
      readonly type: ValueType;
      readonly source: ScheduleNode;
      readonly index: LinearForm;
      readonly guards: readonly DraftGuard[];
    }
  | { readonly op: "inbounds"; readonly type: "bool"; readonly guards: readonly DraftGuard[] }
  | { readonly op: "affine"; readonly type: "i32" | "u32"; readonly form: LinearForm };

/** Equal instructions have equal keys. */
export function instrKey(instr: DraftInstr): string {
  if (instr.op !== "load") return keyOf(instr);
  const { source, ...load } = instr;
  return `${source.id}${keyOf(load)}`;
}

export interface DraftGuard {
  readonly form: LinearForm;
  readonly size: number;
}

export interface DraftStore {
  readonly target: ScheduleNode;
  readonly index: LinearForm;
  readonly value: ValueId;
}

/** Thrown to start the kernel again with a dimension cut in two. */
export class SplitSignal extends Error {
  readonly request: SplitRequest;
  constructor(request: SplitRequest) {
    super("internal: split request");
    this.request = request;
  }
}

/** What a kernel may do while it is built. */
export interface BuilderOptions {
  /** Nodes that live in memory. */
  readonly stored: (node: ScheduleNode) => boolean;
  /** Nodes that this kernel computes and also writes out for others. */
  readonly absorbed: ReadonlySet<ScheduleNode>;
  /** Whether dimensions may be cut; products have fixed ones. */
  readonly mayReduce: boolean;
  readonly maySplit: (dim: number) => boolean;
  /** Whether a coordinate that is not linear may be computed from bits of a position: for operands, which are computed while they are packed. */
  readonly byBits?: boolean;
  /** Factors of dimensions that reductions append, by order of appearance. */
  readonly innerFactors: readonly (readonly number[])[];
  /** Products that this kernel accumulates itself, and where; `at` is the position of a result's element over the kernel's dimensions. */
  readonly accumulators?: { readonly index: ReadonlyMap<ScheduleNode, number>; readonly at: LinearForm };
}
