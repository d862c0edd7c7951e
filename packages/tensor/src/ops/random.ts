/** Random bits, the same on every device, and what is made of them. */
import { anyOf, fields, listOf, oneOf, optional, whole, type Rule } from "../check/rules.ts";
import { DTypeError, ShapeError } from "../errors.ts";
import { checkSizes } from "../host-values.ts";
import { randomBits as randomBitsPrimitive } from "../primitives/sources.ts";
import { chance } from "../random/chance.ts";
import { randomAttrs, siteKey, type RandomLayout } from "../random/layout.ts";
import type { RandomWidth } from "../random/threefry.ts";
import { formatShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { ge, mul } from "./binary.ts";
import { makeNode, scalar } from "./make.ts";
import { argument, integer, optionsOf, tensor } from "./options.ts";
import type { OpRecords, SampleSource } from "./record.ts";
import { where } from "./sources.ts";
import { reshape } from "./views.ts";

/**
 * Where random bits come from: key words (usually live, as nn's `Rngs` makes them) and a constant that tells call sites apart.
 */
export interface RandomKey {
  /** u32 [2], or [3]: then the last is the row of the effective batch that the tensor's first row is. */
  readonly words: Tensor;
  readonly site: number;
}

export const randomKey: Rule<RandomKey> = /* @__PURE__ */ fields<RandomKey>({ words: tensor, site: integer });

const layoutOf = /* @__PURE__ */ optionsOf<RandomLayout>("randomBits", () =>
  fields<RandomLayout>({
    row: optional(anyOf(oneOf(null), whole(0))),
    group: optional(whole(0)),
    strides: optional(listOf(whole(0))),
    start: optional(whole(0)),
  }),
);

/**
 * 32 (default) or 16 random bits as u32: words of Threefry-2x32-20, or halves of them, at counters of (place in the row, row) under `words`,
 * moved by the site. They are the same on every device, however far a batch is padded and however it is cut.
 * @param layout which dimensions count rows and places; by default the first counts rows, and the others are dense
 * @throws ShapeError where elements would share bits
 */
export function randomBits(
  shape: readonly number[],
  key: RandomKey,
  bits: RandomWidth = 32,
  layout: RandomLayout = {},
): Tensor {
  const { words, site } = argument("randomBits", "key", randomKey, key);
  const size = words.rank === 1 ? words.size : 0;
  if (words.dtype !== "u32" || (size !== 2 && size !== 3))
    throw new ShapeError(
      `randomBits: the words of a key are u32 [2], or [3] with the row of the first example, got ${words.dtype} ${formatShape(words.shape)}`,
    );
  checkSizes("randomBits", shape);
  const attrs = randomAttrs("randomBits", shape, bits, layoutOf(layout));
  const moved = words.device.constant([siteKey(site)], [1], "u32");
  return makeNode(randomBitsPrimitive, [words, moved], { ...attrs }, shape, "u32");
}

export interface DropoutLayout extends RandomLayout {
  /** The shape whose dimensions the layout means, where x is a reshape of it: [batch, length, features] of rows [n, features]. */
  readonly shape?: readonly number[];
}

/**
 * Zeroes elements with probability q and scales the others by 1/(1 − q); q is p to 32 bits, or to 16 where that
 * changes p and 1 − p by at most a thousandth (0.1 becomes 6554/65536). Bits and `layout` are those of `randomBits`.
 */
export function dropout(x: Tensor, p: number, key: RandomKey, layout: DropoutLayout = {}): Tensor {
  if (!(p >= 0 && p < 1)) throw new DTypeError(`dropout: p must lie in [0, 1), got ${p}`);
  argument("dropout", "key", randomKey, key);
  if (p === 0) return x;
  const drop = chance(p);
  const { shape = x.shape, ...places } = layout;
  const bits = randomBits(shape, key, drop.bits, places);
  const kept = reshape(ge(bits, scalar(drop.below, bits, "u32")), x.shape);
  return where(kept, mul(x, 1 / (1 - drop.probability)), 0);
}

/** Two words, or three. */
function sampleKey(g: SampleSource, sites: number): unknown {
  return { words: { ...g.ints([g.integer(2, 3)], 0, 1_000_000), dtype: "u32" }, site: g.integer(0, sites) };
}

/** What tests know of these ops. */
export const randomRecords: OpRecords = {
  randomBits: {
    tolerance: "exact",
    differentiable: false,
    sample: (g) => [g.shape(), sampleKey(g, 1000), g.pick([16, 32] as const)],
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
    sample: (g) => [g.tensor(g.shape()), g.pick([0, 0.001, 0.1, 0.5]), sampleKey(g, 100)],
  },
};
