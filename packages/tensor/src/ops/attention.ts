/** Attention: weights by softmax over keys, and what they make of values. */
import { fields, flag, optional, probability, real, whole } from "../check/rules.ts";
import { DTypeError, LowrankError, ShapeError } from "../errors.ts";
import type { Attrs } from "../primitives/primitive.ts";
import { attentionLayout } from "../random/layout.ts";
import { formatShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { add, ge, gt, le, logicalAnd, mul, sub } from "./binary.ts";
import { inPrecision } from "./in-precision.ts";
import { composite } from "./make.ts";
import { matmul } from "./matmul.ts";
import { optionsOf, tensor } from "./options.ts";
import { dropout, type RandomKey, randomKey } from "./random.ts";
import type { OpRecords, Refusal, SampleSource, TensorSpec } from "./record.ts";
import { softmax } from "./softmax.ts";
import { iota } from "./sources.ts";
import { tiledAttention } from "./tiled-attention.ts";
import { expand, reshape, transpose } from "./views.ts";

export interface AttentionWeightsOptions {
  /** bool, broadcastable to [batch, heads, queries, keys]; true = may be attended. */
  readonly mask?: Tensor;
  readonly causal?: boolean;
  /** Default 1/√d. */
  readonly scale?: number;
}

export interface AttentionOptions extends AttentionWeightsOptions {
  /** Keys that a causal query sees at most: its own and those just before it. Default: all. */
  readonly window?: number;
  /** i32 [batch or 1, queries]: the first key that a query may see, for texts packed one after another. Default: 0. */
  readonly first?: Tensor;
  readonly dropout?: { readonly p: number; readonly key: RandomKey };
  /**
   * Queries and keys of a tile at most. Without it up to `WHOLE_ATTENTION` keys are worked on at once, and weights are kept for the backward pass; more keys,
   * under no mask or one of keys only (1 head, 1 query), go tile by tile.
   */
  readonly tiles?: number;
}

/** Up to so many keys `attention` works on at once; measured (benchmarks/NOTES.md, "Attention in tiles"). */
export const WHOLE_ATTENTION: number = 256;

/** Queries and keys of a tile beyond: small ones waste least behind the diagonal, large ones keep the steps of long texts few. */
function tileOf(keys: number): number {
  return keys <= 1024 ? 128 : 256;
}

const weightsRules = () => ({ mask: optional(tensor), causal: optional(flag), scale: optional(real()) });
const spelt = {
  attn_mask: "mask",
  attentionMask: "mask",
  is_causal: "causal",
  isCausal: "causal",
  dropout_p: "dropout",
};
const weightsOptions = /* @__PURE__ */ optionsOf("attentionWeights", () =>
  fields<AttentionWeightsOptions>(weightsRules(), { spelt }),
);
const attentionOptions = /* @__PURE__ */ optionsOf("attention", () =>
  fields<AttentionOptions>(
    {
      ...weightsRules(),
      window: optional(whole(1)),
      first: optional(tensor),
      tiles: optional(whole(1)),
      dropout: optional(fields<NonNullable<AttentionOptions["dropout"]>>({ p: probability, key: randomKey })),
    },
    { spelt },
  ),
);

/** softmax(q·kᵀ·scale) under the mask: [batch, heads, queries, keys]; a row that may attend nothing is zero. */
export const attentionWeights: (q: Tensor, k: Tensor, options?: AttentionWeightsOptions) => Tensor =
  /* @__PURE__ */ inPrecision("full", (q, k, wanted = {}) => {
    const options = weightsOptions(wanted);
    const scores = mul(matmul(q, transpose(k)), options.scale ?? 1 / Math.sqrt(q.shape[q.rank - 1]!));
    let mask = options.mask;
    if (options.causal === true) {
      // keys may run ahead of queries by what a cache holds: query i sees keys ≤ i + (keys − queries)
      const ahead = scores.shape[scores.rank - 1]! - scores.shape[scores.rank - 2]!;
      const causal = le(iota(scores, -1), add(iota(scores, -2), ahead));
      mask = mask === undefined ? causal : logicalAnd(mask, causal);
    }
    const weights = softmax(scores, -1, mask);
    return composite("attentionWeights", weights, [q, k, ...given([options.mask])], attrsOf(q, options));
  });

const given = <T>(all: readonly (T | undefined)[]): T[] => all.filter((x) => x !== undefined);

function attrsOf(q: Tensor, { scale, causal = false, mask }: AttentionWeightsOptions): Attrs {
  return { scale: scale ?? 1 / Math.sqrt(q.shape[q.rank - 1]!), causal, mask: mask !== undefined };
}

/**
 * softmax(q·kᵀ·scale)·v for q [batch, heads, queries, d] and k, v [batch, heads, keys, d]; where k and v have fewer heads, a divisor of q's,
 * as many neighbouring heads of q share one (Ainslie et al. 2023).
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  const { dropout: drop, window, first, tiles, ...masking } = attentionOptions(options);
  checkAttention(q, k, v, window, masking, first);
  const [queries, keys] = [q.shape[2]!, k.shape[2]!];
  const { mask, causal = false } = masking;
  const ofKeys =
    mask === undefined || (mask.rank === 4 && mask.shape[1] === 1 && mask.shape[2] === 1 && mask.shape[3] === keys);
  if (ofKeys && (tiles !== undefined || keys > WHOLE_ATTENTION))
    return tiledAttention(q, k, v, {
      scale: masking.scale ?? 1 / Math.sqrt(q.shape[3]!),
      causal,
      window: window === undefined || window >= keys ? 0 : window,
      tile: tiles ?? tileOf(keys),
      mask,
      first: first === undefined ? undefined : reshape(first, [first.shape[0]!, 1, queries, 1]),
      dropout: drop,
    });
  const [wideK, wideV] = [repeatHeads(k, q.shape[1]!), repeatHeads(v, q.shape[1]!)];
  const inside = given([mask, nearby(q, k, window), first === undefined ? undefined : later(k, first)]);
  const seen = inside.length === 0 ? {} : { mask: inside.reduce((a, b) => logicalAnd(a, b)) };
  const weightsOptions = { ...masking, ...seen };
  const weights = attentionWeights(q, wideK, weightsOptions);
  if (drop !== undefined) return matmul(dropout(weights, drop.p, drop.key, attentionLayout()), wideV);
  const inputs = [q, wideK, wideV, ...given([weightsOptions.mask])];
  return composite("attention", matmul(weights, wideV), inputs, attrsOf(q, weightsOptions));
}

function checkAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  window: number | undefined,
  { causal, mask }: AttentionWeightsOptions,
  first: Tensor | undefined,
): void {
  const [batch, heads, queries] = q.shape;
  const [, shared, keys] = k.shape;
  const shapes = `${formatShape(q.shape)}, ${formatShape(k.shape)}, ${formatShape(v.shape)}`;
  if (q.rank !== 4 || k.rank !== 4 || v.rank !== 4)
    throw new ShapeError(`attention: needs q, k, v [batch, heads, length, d], got ${shapes}`);
  const fits =
    k.shape[0] === batch &&
    v.shape[0] === batch &&
    v.shape[1] === shared &&
    v.shape[2] === keys &&
    q.shape[3] === k.shape[3];
  if (!fits || shared === 0 || heads! % shared! !== 0)
    throw new ShapeError(
      `attention: q, k, v are of one batch, k and v of as many heads, a divisor of q's, and as many keys, q and k of one width, got ${shapes}`,
    );
  if (window !== undefined && causal !== true)
    throw new LowrankError("ConfigError", "attention: a window is one of causal attention; add causal: true");
  if (
    first !== undefined &&
    (first.dtype !== "i32" || first.rank !== 2 || ![1, batch].includes(first.shape[0]) || first.shape[1] !== queries)
  )
    throw new ShapeError(
      `attention: first is i32 [batch or 1, queries], got ${first.dtype} ${formatShape(first.shape)} for ${queries} queries`,
    );
  if (mask !== undefined && mask.dtype !== "bool")
    throw new DTypeError(`attention: the mask must be bool, got ${mask.dtype}; compare it with something`);
}

/** [batch, heads, length, d] with each head as often as `heads` asks for. */
function repeatHeads(x: Tensor, heads: number): Tensor {
  const [batch, own, length, width] = x.shape as [number, number, number, number];
  if (own === heads) return x;
  const wide = expand(reshape(x, [batch, own, 1, length, width]), [batch, own, heads / own, length, width]);
  return reshape(wide, [batch, heads, length, width]);
}

/** Keys that a window reaches: bool [1, 1, queries, keys]. */
function nearby(q: Tensor, k: Tensor, window: number | undefined): Tensor | undefined {
  if (window === undefined || window >= k.shape[2]!) return undefined;
  const own = add(iota(q, 2), k.shape[2]! - q.shape[2]!);
  return gt(reshape(iota(k, 2), [1, 1, 1, k.shape[2]!]), sub(own, window));
}

/** Keys from each query's first on: bool [batch or 1, 1, queries, keys]. */
function later(k: Tensor, first: Tensor): Tensor {
  return ge(reshape(iota(k, 2), [1, 1, 1, k.shape[2]!]), reshape(first, [first.shape[0]!, 1, first.shape[1]!, 1]));
}

/** Options of attention. @param mask its shape */
function attending(g: SampleSource, mask: readonly number[]): Record<string, unknown> {
  return {
    causal: g.boolean(),
    ...(g.boolean() ? { mask: g.bools(mask) } : {}),
    ...(g.boolean() ? { scale: g.pick([0.3, 1, -0.5]) } : {}),
  };
}

/** @param parts how many tensors come before the options */
function refuseOption(g: SampleSource, parts: number): readonly Refusal[] {
  const tensors = Array.from({ length: parts }, () => g.tensor([1, 1, 2, 2]));
  return [["an option that there is not", "ConfigError", [...tensors, { is_causal: true }]]];
}

const same = (g: SampleSource): readonly TensorSpec[] => [0, 1, 2].map(() => g.tensor([1, 1, 2, 2]));

/** What tests know of these ops. */
export const attentionRecords: OpRecords = {
  attentionWeights: {
    tolerance: "row",
    differentiable: true,
    sample: (g) => {
      const [b, h, s, d] = [g.size(2), g.size(2), g.size(6), g.integer(1, 5)];
      return [
        g.tensor([b, h, s, d], { min: -2, max: 2 }),
        g.tensor([b, h, s, d], { min: -2, max: 2 }),
        attending(g, [b, 1, 1, s]),
      ];
    },
    refuses: (g) => refuseOption(g, 2),
  },
  attention: {
    tolerance: "row",
    differentiable: true,
    sample: (g) => {
      const [b, h, s, d] = [g.size(2), g.size(2), g.size(6), g.integer(1, 5)];
      // more keys than queries, as behind a cache
      const keys = s + (g.boolean() ? g.size(3) : 0);
      // heads of queries that share one of keys
      const group = g.size(2);
      const part = (heads: number, length: number) => g.tensor([b, heads, length, d], { min: -2, max: 2 });
      const tiled = g.boolean();
      const options = attending(g, [b, 1, tiled ? 1 : s, keys]);
      const words = { ...g.ints([2], 0, 1_000_000), dtype: "u32" };
      const dropout = { p: g.pick([0.1, 0.5]), key: { words, site: g.integer(0, 100) } };
      return [
        part(h * group, s),
        part(h, keys),
        part(h, keys),
        {
          ...options,
          ...(options["causal"] === true && g.boolean() ? { window: g.size(4) } : {}),
          ...(g.boolean() ? { first: g.ints([b, s], 0, keys - 1) } : {}),
          ...(g.boolean() ? { dropout } : {}),
          ...(tiled ? { tiles: g.size(4) } : {}),
        },
      ];
    },
    refuses: (g) => [
      ...refuseOption(g, 3),
      [
        "heads that do not divide",
        "ShapeError",
        [g.tensor([1, 3, 2, 2]), g.tensor([1, 2, 2, 2]), g.tensor([1, 2, 2, 2])],
      ],
      ["a window without an order", "ConfigError", [...same(g), { window: 2 }]],
      ["a first key for each of too few", "ShapeError", [...same(g), { first: g.ints([1, 1], 0, 1) }]],
      ["a mask of numbers", "DTypeError", [...same(g), { mask: g.tensor([1, 1, 1, 2]) }]],
      ["three dimensions", "ShapeError", [g.tensor([2, 3, 4]), g.tensor([2, 3, 4]), g.tensor([2, 3, 4])]],
    ],
  },
};
