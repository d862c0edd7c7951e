/**
 * Which random bits an element gets. The counter of Threefry has two words: the row, which is an example of the effective batch (times the
 * groups of an example, attention heads for instance), and the element's place within the row. The key is that of the step, moved by the
 * call site. None of these may depend on how far a batch is padded or on how it is cut.
 */
import { ShapeError } from "../errors.ts";
import { formatShape, sizeOf, stridesOf } from "../shape.ts";
import { elementBits, elementHalf, type RandomWidth } from "./threefry.ts";

export interface RandomLayout {
  /** The dimension that counts examples. Default 0; `null`: all is one row, as it is for tensors of rank 1. */
  readonly row?: number | null;
  /** A dimension of which each example has equally many, whatever its length: attention heads. */
  readonly group?: number;
  /** How far a step along each dimension leads within the row. Default: dense in all but `row` and `group`, where it is 0. */
  readonly strides?: readonly number[];
  /** Place of the first element: where a tensor is a part of a longer one. Default 0. */
  readonly start?: number;
}

/** What a node holds. */
export interface RandomAttrs {
  readonly bits: RandomWidth;
  readonly start: number;
  /** Of the place within the row, and of the row: multiples of each coordinate. */
  readonly strides: readonly number[];
  readonly rows: readonly number[];
  /** Rows of an example; the key's offset is one of examples. */
  readonly perExample: number;
}

/** Places within a row are smaller: they are computed in 32 bits. */
const PLACES = 2 ** 31;

/** Keys of call sites under one key of a step lie apart by multiples of 2³²/φ, which never meet (Knuth, TAOCP 3, 6.4). */
export function siteKey(site: number): number {
  return Math.imul(site, 0x9e3779b9) >>> 0;
}

/** @throws ShapeError where two elements of a row would get the same bits, or a row has no room for all */
export function randomAttrs(
  op: string,
  shape: readonly number[],
  bits: RandomWidth,
  { row = shape.length > 1 ? 0 : null, group, strides, start = 0 }: RandomLayout,
): RandomAttrs {
  const outer = [row, group].filter((d) => d !== null && d !== undefined);
  const wrong = outer.find((d) => !(d >= 0 && d < shape.length));
  if (
    wrong !== undefined ||
    (strides !== undefined && strides.length !== shape.length) ||
    (row === group && row !== null)
  )
    throw new ShapeError(
      `${op}: a layout names dimensions of ${formatShape(shape)} and has a stride for each, got row ${row}, group ${group}, strides ${strides === undefined ? "undefined" : formatShape(strides)}`,
    );
  const dense = stridesOf(shape.map((s, d) => (outer.includes(d) ? 1 : s)));
  const steps = shape.map((_, d) => (outer.includes(d) ? 0 : (strides ?? dense)[d]!));
  const perExample = group === undefined ? 1 : shape[group]!;
  const last = checkPlaces(op, shape, steps, outer);
  if (!(start >= 0 && start + last < PLACES))
    throw new ShapeError(
      `${op}: random places ${start} to ${start + last} of ${formatShape(shape)} do not fit a row, which has 2^31; use shorter rows`,
    );
  const rows = shape.map((_, d) => (d === row ? perExample : d === group ? 1 : 0));
  return { bits, start, strides: steps, rows, perExample };
}

/** The largest place. Sorted by stride, each must reach beyond all smaller ones together. */
function checkPlaces(op: string, shape: readonly number[], steps: readonly number[], outer: readonly number[]): number {
  if (sizeOf(shape) === 0) return 0;
  let last = 0;
  const inner = shape.flatMap((size, d) => (size === 1 || outer.includes(d) ? [] : [{ size, step: steps[d]! }]));
  for (const { size, step } of inner.sort((a, b) => a.step - b.step)) {
    if (step <= last)
      throw new ShapeError(
        `${op}: with strides ${formatShape(steps)} elements of ${formatShape(shape)} would share random bits: a stride of at least ${last + 1} is needed where it is ${step}`,
      );
    last += step * (size - 1);
  }
  return last;
}

/**
 * Every element's bits, in row-major order: the definition.
 * @param words two of the key, and the offset of the first example, 0 where there is none
 * @param site `siteKey` of the call site
 */
export function drawnBits(
  words: ArrayLike<number>,
  site: number,
  attrs: RandomAttrs,
  shape: readonly number[],
): Float64Array {
  const { bits, start, strides, rows, perExample } = attrs;
  const key = [(words[0]! + site) >>> 0, words[1]!] as const;
  const draw = bits === 16 ? elementHalf : elementBits;
  const first = (words[2] ?? 0) * perExample;
  const spans = stridesOf(shape);
  return Float64Array.from({ length: sizeOf(shape) }, (_, i) => {
    let [place, row] = [start, first];
    shape.forEach((size, d) => {
      const at = Math.floor(i / spans[d]!) % size;
      place += at * strides[d]!;
      row += at * rows[d]!;
    });
    return draw(key, place, row >>> 0);
  });
}

/** Queries that attention may have: their places are this far apart, so that it does not matter how many keys there are. */
const KEYS = 2 ** 16;

/** For attention weights [batch, heads, queries, keys]: at most 32768 queries and 65536 keys. @param from position of the first query */
export function attentionLayout(from: number = 0): RandomLayout {
  return { row: 0, group: 1, strides: [0, 0, KEYS, 1], start: from * KEYS };
}
