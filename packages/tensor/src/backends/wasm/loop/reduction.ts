/** Accumulators of one reduction: several of them, added in a fixed order, and for long sums a second level that takes them up block by block. */
import type { ValueType } from "../../../ir/kernel.ts";
import type { Code } from "./code.ts";
import type { Local, Push } from "./push.ts";
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
  /**
   * Lanes that met a NaN, for f32 maxima. A maximum that keeps NaN by itself is nine instructions on x64; this one takes three and
   * puts the NaN back at the end.
   */
  readonly #nan: Local | undefined;

  constructor(c: Code, how: Combine, type: ValueType, vector: boolean, blocked: boolean) {
    this.#c = c;
    this.#how = how;
    this.#type = type;
    this.#vector = vector;
    const local = (): Local => c.local(vector ? "v128" : type === "f32" ? "f32" : "i32");
    this.#partial = local();
    this.#total = blocked && how === "sum" && type === "f32" ? local() : undefined;
    this.#nan = how === "max" && type === "f32" && vector ? local() : undefined;
  }

  reset(): void {
    for (const local of [this.#partial, this.#total]) if (local !== undefined) this.#clear(local);
    if (this.#nan !== undefined) this.#c.set(this.#nan, this.#c.i4const(0));
  }

  #clear(local: Local): void {
    const none = identity(this.#c, this.#how, this.#type);
    this.#c.set(local, this.#vector ? splat(this.#c, this.#type, none) : none);
  }

  add(x: Push): void {
    const c = this.#c;
    if (this.#nan !== undefined) {
      const value = c.let4(x);
      // pmax(a, b) = a < b ? b : a: a NaN in b is passed over, and a is never one
      c.set(this.#partial, c.f4("pmax", c.get(this.#partial), value));
      c.set(this.#nan, c.v("or", c.get(this.#nan), c.f4("ne", value, value)));
      return;
    }
    c.set(this.#partial, combine(c, this.#how, this.#type, c.get(this.#partial), x, this.#vector));
  }

  /** Ends a block. */
  flush(): void {
    if (this.#total === undefined) return;
    this.#c.set(
      this.#total,
      combine(this.#c, this.#how, this.#type, this.#c.get(this.#total), this.#c.get(this.#partial), this.#vector),
    );
    this.#clear(this.#partial);
  }

  /**
   * The result so far; call `flush` first. A maximum that is zero becomes +0: which of two zeros `pmax` keeps depends on which came first,
   * and with it the sign would depend on how lanes and rows were laid out.
   */
  result(): Push {
    const c = this.#c;
    const sum = c.get(this.#total ?? this.#partial);
    if (this.#how !== "max" || this.#type !== "f32") return sum;
    const settled = this.#vector ? c.f4("add", sum, c.f4const(0)) : c.op("f32.add", sum, c.f32(0));
    // all bits set is a NaN
    return this.#nan === undefined ? settled : c.v("or", settled, c.get(this.#nan));
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
