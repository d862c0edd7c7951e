/** Random bits, the same on every device, and what is made of them. */
import { fields, type Rule } from "../check/rules.ts";
import { DTypeError } from "../errors.ts";
import { randomBits as randomBitsPrimitive } from "../primitives/sources.ts";
import { chance } from "../random/chance.ts";
import type { RandomWidth } from "../random/threefry.ts";
import type { Tensor } from "../tensor.ts";
import { ge, mul } from "./binary.ts";
import { makeNode, scalar } from "./make.ts";
import { argument, integer, tensor } from "./options.ts";
import type { OpRecords } from "./record.ts";
import { where } from "./sources.ts";

/**
 * Where random bits come from: two key words (usually live: seed and step) and a constant that tells call sites apart.
 */
export interface RandomKey {
  /** u32 [2]. */
  readonly words: Tensor;
  readonly site: number;
}

export const randomKey: Rule<RandomKey> = /* @__PURE__ */ fields<RandomKey>({ words: tensor, site: integer });

/**
 * 32 (default) or 16 random bits as u32: words of Threefry-2x32-20, or halves of them, under key `words` at counters
 * of (linear index, site); the same on every device.
 */
export function randomBits(shape: readonly number[], key: RandomKey, bits: RandomWidth = 32): Tensor {
  return makeNode(randomBitsPrimitive, [key.words], { site: key.site, bits }, shape, "u32");
}

/**
 * Zeroes elements with probability q and scales the others by 1/(1 − q); q is p to 32 bits, or to 16 where that
 * changes p and 1 − p by at most a thousandth (0.1 becomes 6554/65536).
 */
export function dropout(x: Tensor, p: number, key: RandomKey): Tensor {
  if (!(p >= 0 && p < 1)) throw new DTypeError(`dropout: p must lie in [0, 1), got ${p}`);
  argument("dropout", "key", randomKey, key);
  if (p === 0) return x;
  const drop = chance(p);
  const bits = randomBits(x.shape, key, drop.bits);
  const kept = ge(bits, scalar(drop.below, bits, "u32"));
  return where(kept, mul(x, 1 / (1 - drop.probability)), 0);
}

/** What tests know of these ops. */
export const randomRecords: OpRecords = {
  randomBits: {
    tolerance: "exact",
    differentiable: false,
    sample: (g) => [
      g.shape(),
      { words: { ...g.ints([2], 0, 1_000_000), dtype: "u32" }, site: g.integer(0, 1000) },
      g.pick([16, 32] as const),
    ],
  },
  dropout: {
    tolerance: "arithmetic",
    differentiable: true,
    refuses: (g) => {
      const key = { words: { ...g.ints([2], 0, 9), dtype: "u32" }, site: 0 };
      return [
        ["a probability of 1", "DTypeError", [g.tensor([2]), 1, key]],
        ["a key without a site", "ConfigError", [g.tensor([2]), 0.5, { words: key.words }]],
      ];
    },
    sample: (g) => [
      g.tensor(g.shape()),
      g.pick([0, 0.001, 0.1, 0.5]),
      { words: { ...g.ints([2], 0, 1_000_000), dtype: "u32" }, site: g.integer(0, 100) },
    ],
  },
};
