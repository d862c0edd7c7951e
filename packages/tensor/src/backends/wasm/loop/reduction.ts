/** Accumulators of one reduction: several of them, added in a fixed order, and for long sums a second level that takes them up block by block. */
import type { ValueType } from "../../../ir/kernel.ts";
import type { Code, Local, Push } from "./code.ts";
import { splat } from "./ops.ts";

export type Combine = "sum" | "max";

/** f32 values of lanes or of one lane; how two partial results become one. */
export function combine(c: Code, how: Combine, type: ValueType, a: Push, b: Push, vector: boolean): Push {
  if (type === "f32") return c.op(`${vector ? "f32x4" : "f32"}.${how === "sum" ? "add" : "max"}`, a, b);
  if (type === "bool") return c.op(vector ? "v128.or" : "i32.or", a, b);
  if (vector) return c.i4(how === "sum" ? "add" : type === "i32" ? "max_s" : "max_u", a, b);
  if (how === "sum") return c.op("i32.add", a, b);
  const x = c.let("i32", a);
  const y = c.let("i32", b);
  return c.select(x, y, c.op(type === "i32" ? "i32.gt_s" : "i32.gt_u", x, y));
}

/** What an empty reduction gives, as a scalar. */
export function identity(c: Code, how: Combine, type: ValueType): Push {
  if (type === "f32") return c.f32(how === "sum" ? 0 : -Infinity);
  return c.i32(how === "max" && type === "i32" ? -(2 ** 31) : 0);
}

export class Accumulator {
  readonly #c: Code;
  readonly #how: Combine;
  readonly #type: ValueType;
  readonly #vector: boolean;
  readonly #partial: Local;
  /** Second level; absent for maxima, integers and short sums. */
  readonly #total: Local | undefined;

  constructor(c: Code, how: Combine, type: ValueType, vector: boolean, blocked: boolean) {
    this.#c = c;
    this.#how = how;
    this.#type = type;
    this.#vector = vector;
    const local = (): Local => c.local(vector ? "v128" : type === "f32" ? "f32" : "i32");
    this.#partial = local();
    this.#total = blocked && how === "sum" && type === "f32" ? local() : undefined;
  }

  reset(): void {
    for (const local of [this.#partial, this.#total]) if (local !== undefined) this.#clear(local);
  }

  #clear(local: Local): void {
    const none = identity(this.#c, this.#how, this.#type);
    this.#c.set(local, this.#vector ? splat(this.#c, this.#type, none) : none);
  }

  add(x: Push): void {
    this.#c.set(this.#partial, combine(this.#c, this.#how, this.#type, this.#c.get(this.#partial), x, this.#vector));
  }

  /** Ends a block. */
  flush(): void {
    if (this.#total === undefined) return;
    this.#c.set(this.#total, combine(this.#c, this.#how, this.#type, this.#c.get(this.#total), this.#c.get(this.#partial), this.#vector));
    this.#clear(this.#partial);
  }

  /** The result so far; call `flush` first. */
  result(): Push {
    return this.#c.get(this.#total ?? this.#partial);
  }
}

/** All lanes of a vector combined: (0 with 2) with (1 with 3). */
export function acrossLanes(c: Code, how: Combine, type: ValueType, x: Push): Push {
  const all = c.let4(x);
  const pairs = c.let4(combine(c, how, type, all, c.shuffle(all, all, [2, 3, 2, 3]), true));
  const whole = combine(c, how, type, pairs, c.shuffle(pairs, pairs, [1, 1, 1, 1]), true);
  if (type === "f32") return c.lane("f32x4.extract_lane", whole, 0);
  const bits = c.lane("i32x4.extract_lane", whole, 0);
  return type === "bool" ? c.op("i32.and", bits, c.i32(1)) : bits;
}
