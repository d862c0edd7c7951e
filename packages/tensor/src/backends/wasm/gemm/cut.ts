/**
 * Cuts a dimension of an operand where its body takes the coordinate apart by bits: blocks with scales of their own are decoded so
 * (`coordsByBits`). With a loop for each piece those bits are coordinates: what a block or a part of it has is computed once for all of its
 * elements, and neighbours are loaded together. Values, and the order of operations on them, stay as they are.
 *
 *     k < 512:  scale[k >> 5] · byte[k & 15 + 16 · (k >> 5)]
 *     k = 32·p + 16·h + i, p < 16, h < 2, i < 16:  scale[p] · byte[i + 16·p]
 */
import type { DynamicTerm, Instr, Operand, ValueId } from "../../../ir/kernel.ts";
import { mapInstr } from "../../../ir/map.ts";

/** The shortest run that is left: two vectors. */
const SHORTEST_RUN = 8;
/** The longest piece that is cut again: what a panel is staged in. */
export const LONGEST_PIECE = 256;

export interface CutOperand extends Operand {
  /** Sizes of the pieces, the outermost first: it keeps the dimension's number, the others have numbers after all dimensions. */
  readonly pieces: readonly number[];
  /** What the coordinate of each counts. */
  readonly weights: readonly number[];
}

/** A whole number that is linear in the coordinates. */
interface Form {
  readonly offset: number;
  readonly strides: readonly number[];
}

/**
 * @param sizes of all dimensions
 * @param dim the one that is cut
 */
export function cutByBits(operand: Operand, sizes: readonly number[], dim: number): CutOperand {
  let weights: readonly number[] = [1];
  for (;;) {
    const { missing, result } = new Attempt(operand, sizes, dim, weights);
    if (missing === undefined) return weights.length === 1 ? cutInto(operand, sizes, dim, weights) : result;
    weights = [...weights, missing].sort((a, b) => b - a);
  }
}

/** @param weights what the coordinate of each piece counts: powers of two, the largest first, [1] for a dimension that stays whole */
export function cutInto(
  operand: Operand,
  sizes: readonly number[],
  dim: number,
  weights: readonly number[],
): CutOperand {
  if (weights.length === 1) return { ...operand, weights, pieces: [sizes[dim]!] };
  return new Attempt(operand, sizes, dim, weights).result;
}

/** The dimension of the innermost pieces, of an operand of `rank` dimensions whose dimension `dim` was cut. */
export function runDim({ pieces }: CutOperand, rank: number, dim: number): number {
  return pieces.length === 1 ? dim : rank + pieces.length - 2;
}

interface Place {
  readonly offset: number;
  readonly strides: readonly number[];
  readonly dynamic?: readonly DynamicTerm[];
}

class Attempt {
  readonly result: CutOperand;
  /** Elements in a piece that would make one more value linear. */
  missing: number | undefined;
  readonly #old: readonly Instr[];
  readonly #body: Instr[] = [];
  readonly #forms: (Form | undefined)[] = [];
  /** New numbers of values; linear ones get theirs where somebody wants them as a value. */
  readonly #moved: (ValueId | undefined)[] = [];
  readonly #sizes: readonly number[];
  readonly #size: number;
  /** Of each old dimension. */
  readonly #coords: readonly (readonly number[])[];
  /** Dimensions of the pieces, and what their coordinates count. */
  readonly #pieces: readonly number[];
  readonly #weights: readonly number[];

  constructor({ body, value }: Operand, sizes: readonly number[], dim: number, weights: readonly number[]) {
    this.#old = body;
    this.#size = sizes[dim]!;
    this.#weights = weights;
    const pieces = weights.map((weight, i) => (weights[i - 1] ?? this.#size) / weight);
    this.#pieces = weights.map((_, i) => (i === 0 ? dim : sizes.length + i - 1));
    this.#sizes = [...sizes.map((size, d) => (d === dim ? pieces[0]! : size)), ...pieces.slice(1)];
    this.#coords = sizes.map((_, old) =>
      this.#sizes.map((_, d) => (old !== dim ? Number(d === old) : (weights[this.#pieces.indexOf(d)] ?? 0))),
    );
    for (const instr of body) {
      const form = this.#formOf(instr);
      this.#forms.push(form);
      this.#moved.push(form === undefined ? this.#emit(this.#instr(instr)) : undefined);
    }
    this.result = { body: this.#body, value: this.#at(value), pieces, weights };
  }

  #formOf(instr: Instr): Form | undefined {
    if (instr.type !== "i32" && instr.type !== "u32") return undefined;
    const constant = (v: ValueId): number | undefined => {
      const from = this.#old[v]!;
      return from.op === "const" ? from.value : undefined;
    };
    switch (instr.op) {
      case "const":
        return { offset: instr.value, strides: this.#sizes.map(() => 0) };
      case "coord":
        return { offset: 0, strides: this.#coords[instr.dim]! };
      case "cast":
        return this.#forms[instr.a];
      case "add": {
        const [a, b] = [this.#forms[instr.a], this.#forms[instr.b]];
        return a && b && { offset: a.offset + b.offset, strides: a.strides.map((s, d) => s + b.strides[d]!) };
      }
      case "mul": {
        const [a, by] = [this.#forms[instr.a], constant(instr.b)];
        return a && by !== undefined ? { offset: a.offset * by, strides: a.strides.map((s) => s * by) } : undefined;
      }
      case "shr": {
        const bits = constant(instr.b);
        return bits === undefined ? undefined : this.#divided(instr.a, 2 ** bits)?.quotient;
      }
      case "and": {
        const by = (constant(instr.b) ?? 0) + 1;
        return Number.isInteger(Math.log2(by)) ? this.#divided(instr.a, by)?.remainder : undefined;
      }
      default:
        return undefined;
    }
  }

  /** Quotient and remainder where both are linear; else notes the cut that would make them so. */
  #divided(v: ValueId, by: number): { readonly quotient: Form; readonly remainder: Form } | undefined {
    const form = this.#forms[v];
    if (form === undefined || form.offset < 0 || form.strides.some((s) => s < 0)) return undefined;
    const low = form.strides.map((s) => (s % by === 0 ? 0 : s));
    const offset = form.offset % by;
    low.forEach((s, d) => {
      if (s > 0 && s * this.#sizes[d]! > by) this.#want(d, by / s);
    });
    if (low.reduce((most, s, d) => most + s * (this.#sizes[d]! - 1), offset) >= by) return undefined;
    const high = form.strides.map((s, d) => (low[d] === 0 ? s / by : 0));
    return {
      quotient: { offset: (form.offset - offset) / by, strides: high },
      remainder: { offset, strides: low },
    };
  }

  /** @param count of coordinate d that should stay together */
  #want(d: number, count: number): void {
    const weight = (this.#weights[this.#pieces.indexOf(d)] ?? NaN) * count;
    if (weight >= SHORTEST_RUN && weight <= LONGEST_PIECE && Number.isInteger(Math.log2(weight)))
      if (this.#size % weight === 0) this.missing ??= weight;
  }

  #emit(instr: Instr): ValueId {
    return this.#body.push(instr) - 1;
  }

  #at(v: ValueId): ValueId {
    return (this.#moved[v] ??= this.#written(v));
  }

  #written(v: ValueId): ValueId {
    const instr = this.#old[v]!;
    if (instr.op === "const") return this.#emit(instr);
    const { offset, strides } = this.#forms[v]!;
    const constant = (value: number): ValueId => this.#emit({ op: "const", type: "i32", value });
    const terms = strides.flatMap((s, dim) => {
      if (s === 0) return [];
      const coord = this.#emit({ op: "coord", type: "i32", dim });
      return [s === 1 ? coord : this.#emit({ op: "mul", type: "i32", a: coord, b: constant(s) })];
    });
    if (offset !== 0 || terms.length === 0) terms.push(constant(offset));
    const sum = terms.reduce((a, b) => this.#emit({ op: "add", type: "i32", a, b }));
    return instr.type === "i32" ? sum : this.#emit({ op: "cast", type: "u32", a: sum });
  }

  #instr(instr: Instr): Instr {
    switch (instr.op) {
      case "load": {
        const { guards, ...index } = instr.index;
        const moved = this.#place(index);
        return { ...instr, index: guards ? { ...moved, guards: guards.map((g) => this.#place(g)) } : moved };
      }
      case "inbounds":
        return { ...instr, guards: instr.guards.map((g) => this.#place(g)) };
      default:
        return mapInstr(instr, { value: (v) => this.#at(v) });
    }
  }

  /** A place in an argument, or the place that a guard looks at: linear terms join the strides. */
  #place<T extends Place>({ dynamic = [], ...at }: T): Omit<T, "dynamic"> & Place {
    const strides = this.#sizes.map((_, d) => at.strides.reduce((sum, s, old) => sum + s * this.#coords[old]![d]!, 0));
    let { offset } = at;
    const left: DynamicTerm[] = [];
    for (const term of dynamic) {
      const form = this.#forms[term.value];
      if (form === undefined) left.push({ ...term, value: this.#at(term.value) });
      else {
        offset += form.offset * term.stride;
        form.strides.forEach((s, d) => (strides[d]! += s * term.stride));
      }
    }
    return { ...at, offset, strides, ...(left.length > 0 ? { dynamic: left } : {}) };
  }
}
