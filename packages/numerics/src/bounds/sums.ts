/** Reductions, products and scatters: sums of n terms, with the terms' own errors and those of adding them up. */
import { dtypes, isFloat, sizeOf, stridesOf, type DType } from "@lowrank/tensor";
import {
  claimNothing,
  exactly,
  isPoint,
  makeEnds,
  SMALLEST_NORMAL,
  sumFactor,
  unclaimed,
  type Enclosure,
  type Ends,
} from "./enclosure.ts";
import type { Rule } from "./site.ts";

/** Whole numbers up to here are added without rounding. */
const WHOLE = 2 ** 24;

/** Sums that are being added up, with what is needed to say how far off they may be. */
class Sums {
  readonly #ends: Ends;
  readonly #magnitude: Float64Array;
  readonly #terms: Float64Array;
  /** Terms that a device may have flushed to zero. */
  readonly #tiny: Float64Array;
  readonly #whole: Uint8Array;

  constructor(size: number) {
    this.#ends = makeEnds(size);
    this.#magnitude = new Float64Array(size);
    this.#terms = new Float64Array(size);
    this.#tiny = new Float64Array(size);
    this.#whole = new Uint8Array(size).fill(1);
  }

  add(at: number, low: number, high: number): void {
    const size = Math.max(Math.abs(low), Math.abs(high));
    this.#ends.low[at]! += low;
    this.#ends.high[at]! += high;
    this.#magnitude[at]! += size;
    this.#terms[at]!++;
    if (size > 0 && size < SMALLEST_NORMAL) this.#tiny[at]!++;
    if (low !== high || !Number.isInteger(low)) this.#whole[at] = 0;
  }

  /** @param more roundings that each term has seen before it was added */
  finish(dtype: DType, more: number): Ends {
    const { low, high } = this.#ends;
    if (!isFloat(dtype)) return this.#ends;
    for (let i = 0; i < low.length; i++) {
      const exact = this.#whole[i] === 1 && this.#magnitude[i]! <= WHOLE;
      const roundings = Math.max(0, this.#terms[i]! - 1 + more);
      const off = (exact ? 0 : sumFactor(roundings) * this.#magnitude[i]!) + this.#tiny[i]! * SMALLEST_NORMAL;
      if (off === Infinity && !Number.isNaN(low[i]! + high[i]!) && low[i] === high[i]) continue;
      low[i]! -= off;
      high[i]! += off;
    }
    return this.#ends;
  }
}

/** For each element of x, where in `shape` it is reduced to: dimensions of 1 there are gone through. */
function* targets(from: readonly number[], shape: readonly number[]): Generator<number> {
  const strides = stridesOf(shape).map((s, d) => (shape[d] === 1 ? 0 : s));
  const index = from.map(() => 0);
  for (let left = sizeOf(from); left > 0; left--) {
    yield index.reduce((at, x, d) => at + x * strides[d]!, 0);
    for (let d = from.length - 1; d >= 0; d--) {
      if (++index[d]! < from[d]!) break;
      index[d] = 0;
    }
  }
}

export const reduceRule: Rule = ({ node, inputs, value }) => {
  const x = inputs[0]!;
  const { lowering } = node.primitive;
  // integers are known or not; wrapping is the reference's business
  if (dtypes[node.dtype].kind !== "float" && x.value.every((_, i) => isPoint(x, i))) return exactly(value);
  if ((lowering as Extract<typeof lowering, { class: "reduce" }>).combine === "sum") {
    const sums = new Sums(value.length);
    let i = 0;
    for (const at of targets(x.shape, node.shape)) {
      sums.add(at, x.low[i]!, x.high[i]!);
      i++;
    }
    return sums.finish(node.dtype, 0);
  }
  const ends = {
    low: new Float64Array(value.length).fill(-Infinity),
    high: new Float64Array(value.length).fill(-Infinity),
  };
  const doubt = new Uint8Array(value.length);
  let i = 0;
  for (const at of targets(x.shape, node.shape)) {
    ends.low[at] = Math.max(ends.low[at]!, x.low[i]!);
    ends.high[at] = Math.max(ends.high[at]!, x.high[i]!);
    if (unclaimed(x, i)) doubt[at] = 1;
    i++;
  }
  doubt.forEach((yes, at) => yes === 1 && claimNothing(ends, at));
  return ends;
};

export const matmulRule: Rule = ({ node, inputs, value }) => {
  const [a, b] = inputs as [Enclosure, Enclosure];
  const rank = node.shape.length;
  const [m, n, k] = [node.shape[rank - 2]!, node.shape[rank - 1]!, a.shape[rank - 1]!];
  const sums = new Sums(value.length);
  for (let at = 0; at < value.length; at++) {
    const row = Math.floor(at / n);
    const batch = Math.floor(row / m);
    for (let p = 0; p < k; p++) {
      const [i, j] = [row * k + p, (batch * k + p) * n + (at % n)];
      const [al, ah, bl, bh] = [a.low[i]!, a.high[i]!, b.low[j]!, b.high[j]!];
      if (al === ah && bl === bh) sums.add(at, al * bl, al * bl);
      else {
        const [t, u, v, w] = [al * bl, al * bh, ah * bl, ah * bh];
        sums.add(at, Math.min(t, u, v, w), Math.max(t, u, v, w));
      }
    }
  }
  // each product is rounded once before it is added
  return sums.finish(node.dtype, 1);
};

export const scatterRule: Rule = ({ node, inputs, value }) => {
  const [ids, source] = inputs as [Enclosure, Enclosure];
  const rows = node.shape[0]!;
  const width = rows === 0 ? 0 : value.length / rows;
  const sums = new Sums(value.length);
  let known = true;
  ids.value.forEach((id, i) => {
    known &&= isPoint(ids, i);
    if (id >= 0 && id < rows)
      for (let c = 0; c < width; c++) sums.add(id * width + c, source.low[i * width + c]!, source.high[i * width + c]!);
  });
  const ends = sums.finish(node.dtype, 0);
  // an id in doubt may have hit any row
  if (!known) value.forEach((_, i) => claimNothing(ends, i));
  return ends;
};
