/** Random bits of vectors from words of Threefry on four lanes: see `elementBits` and `elementHalf` in random/threefry.ts. */
import { affine } from "../../../ir/affine.ts";
import type { Instr } from "../../../ir/kernel.ts";
import type { RandomWidth } from "../../../random/threefry.ts";
import type { Code } from "./code.ts";
import type { Push } from "./push.ts";

export type Random = Extract<Instr, { op: "random" }>;

/** How many vectors one call yields. */
export type Shared = 1 | 2 | 4;

/**
 * Neighbouring vectors along `laneDim` whose elements share their four counters, where the first of them begins at a multiple of that
 * many vectors of the dimension: two when eight elements from a multiple of eight on lie side by side, with 16 bits four when sixteen do.
 */
export function vectorsPerCall(body: readonly Instr[], { index, bits }: Random, laneDim: number): Shared {
  const line = affine(body, index);
  if (line?.strides.get(laneDim) !== 1) return 1;
  const aligned = (to: number): boolean =>
    line.offset % to === 0 && [...line.strides].every(([d, s]) => d === laneDim || s % to === 0);
  if (bits === 16 && aligned(16)) return 4;
  return aligned(8) ? 2 : 1;
}

/** The counters of the elements `index`. */
export function counters(c: Code, bits: RandomWidth, index: Push): Push {
  return c.v("or", c.shift("shl", c.shift("shr_u", index, bits === 16 ? 4 : 3), 2), c.v("and", index, c.i4const(3)));
}

/** The bits of `count` vectors that share the call which gave `words`; `index` holds the elements of the first. */
export function unpack(
  c: Code,
  bits: RandomWidth,
  words: readonly [Push, Push],
  index: Push,
  count: Shared,
): readonly Push[] {
  if (count === 1) return [eachLane(c, bits, words, index)];
  if (bits === 32) return words;
  const lower = words.map((word) => c.v("and", word, c.i4const(0xffff)));
  if (count === 4) return [...lower, ...words.map((word) => c.shift("shr_u", word, 16))];
  // both vectors lie in the half that bit 3 of their first index tells: 8 becomes a shift by 16
  const by = c.let(
    "i32",
    c.op("i32.and", c.op("i32.shl", c.lane("i32x4.extract_lane", index, 0), c.i32(1)), c.i32(16)),
  );
  return words.map((word) => c.v("and", c.op("i32x4.shr_u", word, by), c.i4const(0xffff)));
}

/** Whatever the elements: each lane takes its word and its half of that. */
function eachLane(c: Code, bits: RandomWidth, [first, second]: readonly [Push, Push], index: Push): Push {
  const has = (bit: number): Push => c.i4("ne", c.v("and", index, c.i4const(bit)), c.i4const(0));
  const word = c.v("bitselect", second, first, has(4));
  if (bits === 32) return word;
  const whole = c.let4(word);
  return c.v("and", c.v("bitselect", c.shift("shr_u", whole, 16), whole, has(8)), c.i4const(0xffff));
}
