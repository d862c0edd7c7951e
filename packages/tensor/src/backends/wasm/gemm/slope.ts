/** Which way an operand's memory runs: vectors should be computed along it. */
import type { GemmKernel, Instr, Product, ValueId } from "../../../ir/kernel.ts";
import { cutByBits, runDim, type CutOperand } from "./cut.ts";

/** An operand that is computed. */
export interface Run {
  readonly alongK: CutOperand;
  /** Whether memory that it reads runs along k rather than across lines (rows of A, columns of B). */
  readonly runsAlongK: boolean;
}

export function runOf({ batch, m, n }: GemmKernel, product: Product, side: "a" | "b"): Run {
  const { k, [side]: operand } = product;
  const rank = batch.length;
  const sizes = side === "a" ? [...batch, m, k] : [...batch, k, n];
  const [line, along] = side === "a" ? [rank, rank + 1] : [rank + 1, rank];
  const [alongK, alongLines] = [cutByBits(operand, sizes, along), cutByBits(operand, sizes, line)];
  const reads = (cut: CutOperand, dim: number): number => readsAlong(cut.body, runDim(cut, sizes.length, dim));
  return { alongK, runsAlongK: reads(alongK, along) > reads(alongLines, line) };
}

/** How many loads move by at most one element, but move, per step of dimension `dim`. */
function readsAlong(body: readonly Instr[], dim: number): number {
  const slope: number[] = [];
  let count = 0;
  body.forEach((instr) => {
    const s = slopeOf(instr, dim, slope, body);
    slope.push(instr.op === "load" ? (s === 0 ? 0 : NaN) : s);
    if (instr.op === "load" && s > 0 && s <= 1) count++;
  });
  return count;
}

/** By how much a value grows per step of `dim`; NaN where that is no constant. A load's is that of its address. */
function slopeOf(instr: Instr, dim: number, slope: readonly number[], body: readonly Instr[]): number {
  const constant = (v: ValueId): number | undefined => {
    const from = body[v]!;
    return from.op === "const" ? from.value : undefined;
  };
  const times = (v: ValueId, factor: number | undefined): number =>
    slope[v] === 0 ? 0 : factor === undefined ? NaN : slope[v]! * factor;
  switch (instr.op) {
    case "const":
      return 0;
    case "coord":
      return instr.dim === dim ? 1 : 0;
    case "load":
      return (instr.index.dynamic ?? []).reduce(
        (sum, t) => sum + t.stride * slope[t.value]!,
        instr.index.strides[dim] ?? 0,
      );
    case "cast":
      return slope[instr.a]!;
    case "add":
      return slope[instr.a]! + slope[instr.b]!;
    case "sub":
      return slope[instr.a]! - slope[instr.b]!;
    case "mul":
      return slope[instr.a] === 0 ? times(instr.b, constant(instr.a)) : times(instr.a, constant(instr.b));
    case "shr": {
      const by = constant(instr.b);
      return times(instr.a, by === undefined ? undefined : 2 ** -by);
    }
    default:
      return NaN;
  }
}
