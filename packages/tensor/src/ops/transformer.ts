/** The compositions transformers are made of. */
import { fields, flag, optional, probability, real } from "../check/rules.ts";
import { ShapeError } from "../errors.ts";
import { attentionLayout } from "../random/layout.ts";
import { formatShape, sizeOf } from "../shape.ts";
import type { Composite, Node } from "../graph/node.ts";
import type { Attrs } from "../primitives/primitive.ts";
import { Tensor } from "../tensor.ts";
import { composite } from "./make.ts";
import { add, le, logicalAnd, mul } from "./binary.ts";
import { inPrecision } from "./in-precision.ts";
import { matmul } from "./matmul.ts";
import { optionsOf, tensor } from "./options.ts";
import { dropout, type RandomKey, randomKey } from "./random.ts";
import { concat } from "./rearrange.ts";
import type { OpRecords, Refusal, SampleSource, TensorSpec } from "./record.ts";
import { softmax } from "./softmax.ts";
import { iota } from "./sources.ts";
import { neg } from "./unary.ts";
import { reshape, slice, transpose } from "./views.ts";

/** x […, in] · weightᵀ [in, out] + bias [out]; weight is stored [out, in]. */
export const linear: (x: Tensor, weight: Tensor, bias?: Tensor) => Tensor = /* @__PURE__ */ inPrecision(
  "compute",
  (x, weight, bias) => {
    const inputs = x.shape[x.rank - 1] ?? 0;
    if (weight.rank !== 2 || inputs !== weight.shape[1])
      throw new ShapeError(
        `linear: input ${formatShape(x.shape)} does not fit weight ${formatShape(weight.shape)}: the last dimension must be ${weight.shape[1]}`,
      );
    const flat = matmul(reshape(x, [sizeOf(x.shape.slice(0, -1)), inputs]), transpose(weight));
    const y = reshape(bias === undefined ? flat : add(flat, bias), [...x.shape.slice(0, -1), weight.shape[0]!]);
    const decoded = decodedFrom(weight.node);
    if (decoded === undefined) return y;
    const stored = decoded.inputs.map((node) => new Tensor(node, weight.device));
    return composite("dequantizedLinear", y, [x, ...stored, ...(bias === undefined ? [] : [bias])], {
      ...decoded.attrs,
      outputs: weight.shape[0]!,
      dtype: weight.dtype,
      bias: bias !== undefined,
    });
  },
);

/** What a weight is decoded from, if it is, seen through casts. */
function decodedFrom(weight: Node): Composite | undefined {
  let at = weight;
  while (at.leaf === undefined && at.primitive.lowering.class === "cast") at = at.inputs[0]!;
  return at.composites?.find(({ name }) => name === "dequantize");
}

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
    return composite("attentionWeights", weights, [q, k, ...given(options.mask)], attrsOf(q, options));
  });

const given = <T>(x: T | undefined): T[] => (x === undefined ? [] : [x]);

function attrsOf(q: Tensor, { scale, causal = false, mask }: AttentionWeightsOptions): Attrs {
  return { scale: scale ?? 1 / Math.sqrt(q.shape[q.rank - 1]!), causal, mask: mask !== undefined };
}

/** softmax(q·kᵀ·scale)·v for q, k, v [batch, heads, length, d]. */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  const { dropout: drop, ...masking } = attentionOptions(options);
  if (q.rank !== 4 || k.rank !== 4 || v.rank !== 4)
    throw new ShapeError(
      `attention: needs q, k, v [batch, heads, length, d], got ${formatShape(q.shape)}, ${formatShape(k.shape)}, ${formatShape(v.shape)}`,
    );
  const weights = attentionWeights(q, k, masking);
  if (drop !== undefined) return matmul(dropout(weights, drop.p, drop.key, attentionLayout()), v);
  return composite("attention", matmul(weights, v), [q, k, v, ...given(masking.mask)], attrsOf(q, masking));
}

/**
 * Rotary position embedding of x [batch, heads, length, d], half-rotate layout, by tables that broadcast to it:
 * x·cos + (−x₂, x₁)·sin for the halves x₁, x₂ of x.
 */
export function rope(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  const d = x.shape[x.rank - 1] ?? 1;
  if (d % 2 !== 0) throw new ShapeError(`rope: the last dimension must be even, got ${formatShape(x.shape)}`);
  const turned = concat([neg(slice(x, -1, d / 2, d)), slice(x, -1, 0, d / 2)], -1);
  return add(mul(x, cos), mul(turned, sin));
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

/** What tests know of these ops. */
export const transformerRecords: OpRecords = {
  linear: {
    tolerance: "reduction",
    differentiable: true,
    refuses: (g) => [["a weight that does not fit", "ShapeError", [g.tensor([2, 3]), g.tensor([3, 2])]]],
    sample: (g) => {
      const [inputs, outputs] = [g.size(9), g.size(9)];
      return [
        g.tensor([...g.shape({ maxRank: 2 }), inputs]),
        g.tensor([outputs, inputs]),
        ...(g.boolean() ? [g.tensor([outputs])] : []),
      ];
    },
  },
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
      const part = (length: number) => g.tensor([b, h, length, d], { min: -2, max: 2 });
      const words = { ...g.ints([2], 0, 1_000_000), dtype: "u32" };
      const dropout = { p: g.pick([0.1, 0.5]), key: { words, site: g.integer(0, 100) } };
      return [
        part(s),
        part(keys),
        part(keys),
        { ...attending(g, [b, 1, s, keys]), ...(g.boolean() ? { dropout } : {}) },
      ];
    },
    refuses: (g) => [
      ...refuseOption(g, 3),
      ["three dimensions", "ShapeError", [g.tensor([2, 3, 4]), g.tensor([2, 3, 4]), g.tensor([2, 3, 4])]],
    ],
  },
  rope: {
    tolerance: "row",
    differentiable: true,
    refuses: (g) => [["an odd dimension", "ShapeError", [g.tensor([2, 3]), g.tensor([3]), g.tensor([3])]]],
    sample: (g) => {
      const [b, h, s, d] = [g.size(2), g.size(2), g.size(5), g.pick([2, 4, 8])];
      const table = (): TensorSpec => g.tensor(g.boolean() ? [s, d] : [b, 1, s, d], { min: -1, max: 1 });
      return [g.tensor([b, h, s, d]), table(), table()];
    },
  },
};
