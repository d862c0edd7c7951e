/** The compositions transformers are made of. */
import { DTypeError, ShapeError } from "../errors.ts";
import { chance } from "../random/chance.ts";
import { formatShape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { attentionOptions, attentionWeightsOptions, randomKeyOf } from "./options.ts";
import type { OpRecord, TensorSpec } from "./record.ts";
import type { RandomKey } from "./toolbox.ts";

export const linear: OpRecord<[x: Tensor, weight: Tensor, bias?: Tensor]> = {
  name: "linear",
  doc: "x […, in] · weightᵀ [in, out] + bias [out]; weight is stored [out, in]",
  precision: "compute",
  tolerance: "reduction",
  differentiable: true,
  sample: (g) => {
    const [inputs, outputs] = [g.size(9), g.size(9)];
    return [
      g.tensor([...g.shape({ maxRank: 2 }), inputs]),
      g.tensor([outputs, inputs]),
      ...(g.boolean() ? [g.tensor([outputs])] : []),
    ];
  },
  call: (t, x, weight, bias) => {
    const inputs = x.shape[x.rank - 1] ?? 0;
    if (weight.rank !== 2 || inputs !== weight.shape[1])
      throw new ShapeError(
        `linear: input ${formatShape(x.shape)} does not fit weight ${formatShape(weight.shape)}: the last dimension must be ${weight.shape[1]}`,
      );
    const flat = t.matmul(t.reshape(x, [sizeOf(x.shape.slice(0, -1)), inputs]), t.transpose(weight));
    return t.reshape(bias === undefined ? flat : t.add(flat, bias), [...x.shape.slice(0, -1), weight.shape[0]!]);
  },
};

export const dropout: OpRecord<[x: Tensor, p: number, key: RandomKey]> = {
  name: "dropout",
  doc: "zeroes elements with probability q and scales the others by 1/(1 − q); q is p to 32 bits, or to 16 where that changes p and 1 − p by at most a thousandth (0.1 becomes 6554/65536)",
  tolerance: "arithmetic",
  differentiable: true,
  sample: (g) => [
    g.tensor(g.shape()),
    g.pick([0, 0.001, 0.1, 0.5]),
    { words: { ...g.ints([2], 0, 1_000_000), dtype: "u32" }, site: g.integer(0, 100) },
  ],
  call: (t, x, p, key) => {
    if (!(p >= 0 && p < 1)) throw new DTypeError(`dropout: p must lie in [0, 1), got ${p}`);
    randomKeyOf("dropout", key);
    if (p === 0) return x;
    const drop = chance(p);
    const bits = t.randomBits(x.shape, key, drop.bits);
    const kept = t.ge(bits, t.make.scalar(drop.below, bits, "u32"));
    return t.where(kept, t.mul(x, 1 / (1 - drop.probability)), 0);
  },
};

export interface AttentionWeightsOptions {
  /** bool, broadcastable to [batch, heads, queries, keys]; true = may be attended. */
  readonly mask?: Tensor;
  readonly causal?: boolean;
  /** Default 1/√d. */
  readonly scale?: number;
}

export interface AttentionOptions extends AttentionWeightsOptions {
  readonly dropout?: { readonly p: number; readonly key: RandomKey };
}

export const attentionWeights: OpRecord<[q: Tensor, k: Tensor, options?: AttentionWeightsOptions]> = {
  name: "attentionWeights",
  doc: "softmax(q·kᵀ·scale) under the mask: [batch, heads, queries, keys]; a row that may attend nothing is zero",
  precision: "full",
  tolerance: "row",
  differentiable: true,
  sample: (g) => {
    const [b, h, s, d] = [g.size(2), g.size(2), g.size(6), g.integer(1, 5)];
    return [
      g.tensor([b, h, s, d], { min: -2, max: 2 }),
      g.tensor([b, h, s, d], { min: -2, max: 2 }),
      { causal: g.boolean(), ...(g.boolean() ? { mask: g.bools([b, 1, 1, s]) } : {}) },
    ];
  },
  call: (t, q, k, wanted = {}) => {
    const options = attentionWeightsOptions(wanted);
    const scores = t.mul(t.matmul(q, t.transpose(k)), options.scale ?? 1 / Math.sqrt(q.shape[q.rank - 1]!));
    let mask = options.mask;
    if (options.causal === true) {
      // keys may run ahead of queries by what a cache holds: query i sees keys ≤ i + (keys − queries)
      const ahead = scores.shape[scores.rank - 1]! - scores.shape[scores.rank - 2]!;
      const causal = t.le(t.iota(scores, -1), t.add(t.iota(scores, -2), ahead));
      mask = mask === undefined ? causal : t.logicalAnd(mask, causal);
    }
    return t.softmax(scores, -1, mask);
  },
};

export const attention: OpRecord<[q: Tensor, k: Tensor, v: Tensor, options?: AttentionOptions]> = {
  name: "attention",
  doc: "softmax(q·kᵀ·scale)·v for q, k, v [batch, heads, length, d]",
  tolerance: "row",
  differentiable: true,
  sample: (g) => {
    const [b, h, s, d] = [g.size(2), g.size(2), g.size(6), g.integer(1, 5)];
    const part = () => g.tensor([b, h, s, d], { min: -2, max: 2 });
    return [part(), part(), part(), { causal: g.boolean(), ...(g.boolean() ? { mask: g.bools([b, 1, s, s]) } : {}) }];
  },
  call: (t, q, k, v, options = {}) => {
    const { dropout: drop, ...masking } = attentionOptions(options);
    if (q.rank !== 4 || k.rank !== 4 || v.rank !== 4)
      throw new ShapeError(
        `attention: needs q, k, v [batch, heads, length, d], got ${formatShape(q.shape)}, ${formatShape(k.shape)}, ${formatShape(v.shape)}`,
      );
    const weights = t.attentionWeights(q, k, masking);
    return t.matmul(drop === undefined ? weights : t.dropout(weights, drop.p, drop.key), v);
  },
};

export const rope: OpRecord<[x: Tensor, cos: Tensor, sin: Tensor]> = {
  name: "rope",
  doc: "rotary position embedding of x [batch, heads, length, d], half-rotate layout, by tables that broadcast to it: x·cos + (−x₂, x₁)·sin for the halves x₁, x₂ of x",
  tolerance: "row",
  differentiable: true,
  sample: (g) => {
    const [b, h, s, d] = [g.size(2), g.size(2), g.size(5), g.pick([2, 4, 8])];
    const table = (): TensorSpec => g.tensor(g.boolean() ? [s, d] : [b, 1, s, d], { min: -1, max: 1 });
    return [g.tensor([b, h, s, d]), table(), table()];
  },
  call: (t, x, cos, sin) => {
    const d = x.shape[x.rank - 1] ?? 1;
    if (d % 2 !== 0) throw new ShapeError(`rope: the last dimension must be even, got ${formatShape(x.shape)}`);
    const turned = t.concat([t.neg(t.slice(x, -1, d / 2, d)), t.slice(x, -1, 0, d / 2)], -1);
    return t.add(t.mul(x, cos), t.mul(turned, sin));
  },
};
