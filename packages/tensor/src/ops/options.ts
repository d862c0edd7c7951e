/** What options and switches of ops may be, looked at when an op is built, never when it runs. Each throws ConfigError naming the op, the key and what it should be. */
import {
  anything,
  checkOptions,
  fields,
  flag,
  leaf,
  name,
  oneOf,
  optional,
  probability,
  real,
  type Rule,
} from "../check/index.ts";
import type { IndexRange } from "../graph/index-checks.ts";
import type { Tensor } from "../tensor.ts";
import type { GeluForm } from "./activations.ts";
import type { CrossEntropyOptions, Reduction } from "./losses.ts";
import type { RandomKey } from "./toolbox.ts";
import type { AttentionOptions, AttentionWeightsOptions } from "./transformer.ts";

const integer: Rule<number> = leaf("a whole number", (v) => Number.isSafeInteger(v));
const tensor: Rule<Tensor> = leaf(
  "a tensor",
  (v) => typeof v === "object" && v !== null && "node" in v && "device" in v,
);
const reduction: Rule<Reduction> = oneOf("mean", "sum", "none");
const geluForm: Rule<GeluForm> = oneOf("none", "tanh");
const randomKey: Rule<RandomKey> = fields<RandomKey>({ words: tensor, site: integer });

const crossEntropy = fields<CrossEntropyOptions>(
  {
    ignoreIndex: optional(integer),
    labelSmoothing: optional(real({ min: 0, max: 1 })),
    reduction: optional(reduction),
  },
  { spelt: { ignore_index: "ignoreIndex", label_smoothing: "labelSmoothing" } },
);
const weights = { mask: optional(tensor), causal: optional(flag), scale: optional(real()) };
const spelt = {
  attn_mask: "mask",
  attentionMask: "mask",
  is_causal: "causal",
  isCausal: "causal",
  dropout_p: "dropout",
};
const attentionWeights = fields<AttentionWeightsOptions>(weights, { spelt });
const attention = fields<AttentionOptions>(
  {
    ...weights,
    dropout: optional(fields<NonNullable<AttentionOptions["dropout"]>>({ p: probability, key: randomKey })),
  },
  { spelt },
);
const range = fields<IndexRange>({
  size: leaf(
    "a whole number of at least 0, or Infinity",
    (v) => v === Infinity || (Number.isSafeInteger(v) && (v as number) >= 0),
  ),
  ignore: optional(integer),
  op: name,
  name,
  grows: optional(fields<NonNullable<IndexRange["grows"]>>({ limit: integer, to: anything() })),
});

export function crossEntropyOptions(options: unknown): CrossEntropyOptions {
  return checkOptions("crossEntropy", crossEntropy, options);
}
export function attentionWeightsOptions(options: unknown): AttentionWeightsOptions {
  return checkOptions("attentionWeights", attentionWeights, options);
}
export function attentionOptions(options: unknown): AttentionOptions {
  return checkOptions("attention", attention, options);
}
export function indexRange(options: unknown): IndexRange {
  return checkOptions("checkIndices", range, options);
}

function argument<T>(op: string, key: string, rule: Rule<T>, value: unknown): T {
  return rule.read(value, { source: op, path: [key], code: "ConfigError" });
}

/** A switch that is an argument by itself. */
export function flagOf(op: string, key: string, value: unknown): boolean {
  return argument(op, key, flag, value);
}
export function reductionOf(op: string, value: unknown): Reduction {
  return argument(op, "reduction", reduction, value);
}
export function geluFormOf(value: unknown): GeluForm {
  return argument("gelu", "approximate", geluForm, value);
}
export function randomKeyOf(op: string, value: unknown): RandomKey {
  return argument(op, "key", randomKey, value);
}
