/**
 * Facts about an expression body that printers and the interpreter share: which iteration dimensions a value depends on,
 * and after how many reduction passes it can be known. No code is generated here.
 */
import type { GemmKernel, Guard, Index, Instr, Operand, Store, ValueId } from "./kernel.ts";

export interface BodyFacts {
  /** Bit d is set when the value depends on the coordinate of dimension d. */
  readonly dims: readonly number[];
  /** Passes over the inner dimensions that must have ended before the value can be computed. */
  readonly stage: readonly number[];
  /** Passes that end in a reduction: 0 for a body without `reduce`. */
  readonly stages: number;
}

/** Values an instruction reads, in no particular order. */
export function operands(instr: Instr): readonly ValueId[] {
  switch (instr.op) {
    case "const":
    case "coord":
    case "acc":
      return [];
    case "inbounds":
      return instr.guards.flatMap(dynamicValues);
    case "load":
      return indexOperands(instr.index);
    case "select":
      return [instr.cond, instr.a, instr.b];
    case "random":
      return [instr.k0, instr.k1, instr.index, instr.row];
    default:
      return "b" in instr ? [instr.a, instr.b] : [instr.a];
  }
}

/** Values that an address or its guards are computed from. */
export function indexOperands(index: Index): readonly ValueId[] {
  return [...dynamicValues(index), ...(index.guards ?? []).flatMap(dynamicValues)];
}

function dynamicValues(at: Index | Guard): ValueId[] {
  return (at.dynamic ?? []).map((term) => term.value);
}

function strideDims(strides: readonly number[]): number {
  return strides.reduce((mask, stride, d) => (stride === 0 ? mask : mask | (1 << d)), 0);
}

/** Dimensions an index moves with, those of its dynamic values included. */
export function indexDims(index: Index, dims: readonly number[]): number {
  let mask = strideDims(index.strides);
  for (const guard of index.guards ?? []) mask |= strideDims(guard.strides);
  for (const value of indexOperands(index)) mask |= dims[value]!;
  return mask;
}

/** `outerRank` is the number of dimensions before the inner ones; `rank` counts all. A `reduce` forgets the inner ones. */
export function bodyFacts(body: readonly Instr[], outerRank: number, rank: number): BodyFacts {
  const dims: number[] = [];
  const stage: number[] = [];
  const outer = (1 << outerRank) - 1;
  let stages = 0;
  for (const instr of body) {
    const from = operands(instr);
    let mask = 0;
    let at = 0;
    for (const v of from) {
      mask |= dims[v]!;
      at = Math.max(at, stage[v]!);
    }
    if (instr.op === "coord") mask |= 1 << instr.dim;
    if (instr.op === "acc") mask |= (1 << rank) - 1;
    if (instr.op === "load") mask |= indexDims(instr.index, dims);
    if (instr.op === "inbounds") for (const guard of instr.guards) mask |= strideDims(guard.strides);
    if (instr.op === "reduce") {
      mask &= outer;
      at += 1;
      stages = Math.max(stages, at);
    }
    dims.push(mask);
    stage.push(at);
  }
  return { dims, stage, stages };
}

/** Whether a store happens once per inner element (else once per row). */
export function storesElements(store: Store, facts: BodyFacts, outerRank: number): boolean {
  return (facts.dims[store.value]! | indexDims(store.index, facts.dims)) >>> outerRank !== 0;
}

/** Values reachable from `roots`, as a flag per body position. */
export function reachable(body: readonly Instr[], roots: Iterable<ValueId>): boolean[] {
  const live = body.map(() => false);
  for (const root of roots) live[root] = true;
  for (let v = body.length - 1; v >= 0; v--) if (live[v]) for (const from of operands(body[v]!)) live[from] = true;
  return live;
}

/** Whether a value is x − m with m at least the maximum of x: softmax's exponents. */
export function isNeverPositive(body: readonly Instr[], v: ValueId): boolean {
  const difference = body[v]!;
  if (difference.op !== "sub") return false;
  if (difference.type !== "f32") return false;
  const seen = new Set<ValueId>();
  const pending = [difference.b];
  while (pending.length > 0) {
    const id = pending.pop()!;
    const instr = body[id]!;
    if (seen.has(id)) continue;
    seen.add(id);
    if (instr.op === "reduce" && instr.combine === "max" && instr.a === difference.a) return true;
    if (instr.op === "max") pending.push(instr.a, instr.b);
  }
  return false;
}

/** How many accumulators a product's epilogue may read. */
export function accumulators({ products }: GemmKernel): number {
  return Math.max(...products.map((p) => p.acc)) + 1;
}

/** What an operand loads when it is a single unguarded load, the common case that deserves its own path. */
export function plainLoad(operand: Operand): Index | undefined {
  const instr = operand.body[operand.value]!;
  return instr.op === "load" && instr.index.guards === undefined && instr.index.dynamic === undefined
    ? instr.index
    : undefined;
}
