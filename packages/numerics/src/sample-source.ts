/** Sampling op arguments with fast-check: shapes and choices shrink; values come from a seed that fast-check draws and prints. */
import { isFloat, RandomStream, roundTo, sizeOf, type DType } from "@lowrank/tensor";
import type { SampleSource, TensorSample, TensorSpec } from "@lowrank/tensor/records";
import fc from "fast-check";
import { LAYOUTS, repeatAlong, type LaidOutSpec } from "./layouts.ts";

/** What `fc.gen()` hands to a property. */
export type Gen = <T, Args extends unknown[]>(arbitrary: (...args: Args) => fc.Arbitrary<T>, ...args: Args) => T;

/** Values that find what ordinary ones do not. */
const NASTY = [0, -0, 2 ** -149, -(2 ** -140), 2 ** -126, 1e-30, -1e30, 3e38, 1, -1, 65504, 65520];

export interface SampleOptions {
  /** Mixes subnormals, huge values and signed zeros into tensors that allow any value. Default false. */
  readonly nasty?: boolean;
  /** Draws from the tails of those tensors that have some. Default false. */
  readonly tails?: boolean;
  /** Sizes may be 0. Default false. */
  readonly empty?: boolean;
  /** What f32 tensors are drawn as. Default f32. */
  readonly dtype?: DType;
  /** Integers of 32 bits may have any size: where nothing is computed. Default false. */
  readonly wide?: boolean;
  /** Tensors may be views of others. Default false. */
  readonly layouts?: boolean;
}

/** An integer or bool in the place of a float of a few units. */
function asDType(dtype: DType, x: number, wide: boolean): number {
  if (isFloat(dtype)) return x;
  if (dtype === "bool") return Number(x > 0);
  const whole = Math.trunc(7 * x) * (wide && dtype !== "u8" ? 2 ** 24 + 1 : 1);
  const signed = Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, whole));
  return dtype === "i32" ? signed : Math.min(Math.abs(whole), dtype === "u8" ? 255 : 2 ** 32 - 1);
}

export function sampleSource(gen: Gen, options: SampleOptions = {}): SampleSource {
  const stream = new RandomStream(gen(fc.nat, { max: 2 ** 31 - 1 }), "samples");
  const integer = (min: number, max: number): number => gen(fc.integer, { min, max });
  // none often enough, and one more often than each of the rest
  const size = (max: number, min = 1): number =>
    max < min || (options.empty === true && integer(0, 3) === 0) ? 0 : integer(min, max);
  const boolean = (): boolean => gen(fc.boolean);
  const spec = (shape: readonly number[], dtype: DType, draw: (i: number) => number): LaidOutSpec => {
    const data = Float64Array.from({ length: sizeOf(shape) }, (_, i) => draw(i));
    const plain: LaidOutSpec = { spec: true, shape, dtype, data };
    if (options.layouts !== true || shape.length === 0) return plain;
    const laidOut = { ...plain, layout: LAYOUTS[integer(0, LAYOUTS.length - 1)]!, along: integer(0, shape.length - 1) };
    if (laidOut.layout === "repeated") repeatAlong(laidOut, laidOut.along);
    return laidOut;
  };
  const as = options.dtype ?? "f32";
  /** As floats that the dtype holds, or integers. */
  const drawn = (shape: readonly number[], draw: (i: number) => number): TensorSpec => {
    const wide = options.wide === true && stream.integer(2) === 0;
    const made = spec(shape, as, (i) => asDType(as, draw(i), wide));
    made.data.set(roundTo(as, made.data));
    return made;
  };
  return {
    integer,
    boolean,
    size,
    pick: (list) => list[integer(0, list.length - 1)]!,
    shape: ({ minRank = 0, maxRank = 3, minDim = 1, maxDim = 6 } = {}) =>
      Array.from({ length: integer(minRank, Math.max(minRank, maxRank)) }, () => size(maxDim, minDim)),
    broadcastable: (shape) => shape.slice(integer(0, shape.length)).map((d) => (boolean() ? 1 : d)),
    tensor(shape, limits: TensorSample = {}) {
      const { min = -3, max = 3, avoid = [], gap = 1e-3, distinct = false } = limits;
      const free = limits.min === undefined && limits.max === undefined && avoid.length === 0 && !distinct;
      const seen: number[] = [];
      if (options.tails === true && limits.tails !== undefined) {
        const tails = limits.tails;
        return {
          ...spec(shape, "f32", () => {
            const [from, to] = tails[stream.integer(tails.length)]!;
            return Math.fround(from + (to - from) * stream.uniform());
          }),
          tails: true,
        };
      }
      return drawn(shape, () => {
        if (free && options.nasty === true && stream.integer(3) === 0)
          return Math.fround(NASTY[stream.integer(NASTY.length)]!);
        for (let attempt = 0; ; attempt++) {
          const v = Math.fround(min + (max - min) * stream.uniform());
          // a crowded interval may not have room for the full gap: it is given up by and by
          const room = gap / (1 + attempt / 8);
          if (avoid.some((a) => Math.abs(a - v) < gap) || (distinct && seen.some((s) => Math.abs(s - v) < room)))
            continue;
          seen.push(v);
          return v;
        }
      });
    },
    ints: (shape, min, max) => spec(shape, "i32", () => min + stream.integer(Math.max(1, max - min + 1))),
    bools: (shape) => spec(shape, "bool", () => stream.integer(2)),
  };
}
