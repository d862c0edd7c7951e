/**
 * LoRA+ (Hayou et al. 2024, "LoRA+: Efficient Low Rank Adaptation of Large Models", arXiv:2402.12354): B learns faster than A by a fixed ratio, since
 * under one rate for both A hardly learns in wide models. Which weights that concerns is PEFT's rule (`create_loraplus_optimizer`).
 */
import { decayGroups, scaledGroups, type ParameterGroup, type Weight } from "@lowrank/nn";
import { checkOptions, fields, optional, positive, real, type Rule } from "@lowrank/tensor/check";
import type { Adapter } from "../adapter.ts";
import { AdaptedEmbedding } from "../layers/adapted-embedding.ts";

export interface LoraPlusOptions {
  /** Rate of all other weights at its peak, which the optimizer has as `lr`; only the embeddings' own rate is told from it. */
  readonly lr: number;
  /** How many times faster B learns than A, at least 1. */
  readonly ratio: number;
  /** Rate of adapters on embeddings. Default 1e-6. */
  readonly embeddingLr?: number;
  /** Of all but biases and norms. Default 0, whatever the optimizer says. */
  readonly weightDecay?: number;
}

const RULES: Rule<LoraPlusOptions> = fields<LoraPlusOptions>(
  {
    lr: positive,
    ratio: real({ min: 1 }),
    embeddingLr: optional(real({ min: 0 })),
    weightDecay: optional(real({ min: 0 })),
  },
  {
    spelt: {
      learningRate: "lr",
      loraplus_lr_ratio: "ratio",
      loraPlusLrRatio: "ratio",
      loraplus_lr_embedding: "embeddingLr",
      loraplus_weight_decay: "weightDecay",
    },
  },
);

/** B of every layer and whatever has one dimension: biases, norms, DoRA's magnitudes. Weights of adapters on embeddings are not among them. */
function fast(adapter: Adapter, trainable: readonly Weight[], onEmbeddings: ReadonlySet<Weight>): Weight[] {
  const second = new Set(
    [...adapter.updates.values()].flatMap(({ weights }) =>
      weights.filter(({ file }) => file.startsWith("lora_B")).map(({ weight }) => weight),
    ),
  );
  return trainable.filter((weight) => !onEmbeddings.has(weight) && (second.has(weight) || weight.shape.length === 1));
}

function onEmbeddings({ sites, updates }: Adapter): Set<Weight> {
  return new Set(
    [...sites].flatMap(([path, layer]) =>
      layer instanceof AdaptedEmbedding ? updates.get(path)!.weights.map(({ weight }) => weight) : [],
    ),
  );
}

/** What the rate of each weight that learns at another one is multiplied by. @throws LowrankError (ConfigError) naming the option */
export function loraPlusScales(
  adapter: Adapter,
  options: Omit<LoraPlusOptions, "weightDecay">,
): ReadonlyMap<Weight, number> {
  const { lr, ratio, embeddingLr = 1e-6 } = checkOptions("loraPlusScales", RULES, options);
  const tables = onEmbeddings(adapter);
  return new Map([
    ...[...tables].map((weight) => [weight, embeddingLr / lr] as const),
    ...fast(adapter, adapter.model.trainableWeights(), tables).map((weight) => [weight, ratio] as const),
  ]);
}

/**
 * The groups that PEFT makes, for an optimizer whose `lr` is the given one or a schedule with that peak. The optimizer's own weight decay counts for
 * none of them.
 */
export function loraPlusGroups(adapter: Adapter, options: LoraPlusOptions): ParameterGroup[] {
  const { weightDecay = 0, ...rates } = checkOptions("loraPlusGroups", RULES, options);
  return scaledGroups(decayGroups(adapter.model.namedWeights(), weightDecay), loraPlusScales(adapter, rates));
}
