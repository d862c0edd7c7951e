/** Scores that are known before the first step and stay: what training does changes none of them. */
import type { Parameter, Tensor } from "@lowrank/tensor";
import { checkOptions } from "@lowrank/tensor/check";
import { BudgetAllocator } from "./allocator.ts";
import type { Triplets } from "./method.ts";
import { SCORED_RULES, type ScoredOptions } from "./options.ts";
import { checkedWeight, orthogonalityTerm } from "./orthogonality.ts";
import type { ScoreRule } from "./rule.ts";

export interface FixedScores {
  /** Name for records. */
  readonly kind: string;
  /** The paper. */
  readonly reference: string;
  /** One per triplet, modules one after another; the highest ones stay, and one of them must be above 0. */
  readonly scores: ArrayLike<number>;
}

export class FixedScoresRule implements ScoreRule {
  readonly kind: string;
  readonly reference: string;
  readonly usesGradients = false;
  readonly #layers: readonly Triplets[];
  readonly #scores: Parameter;
  readonly #orthRegWeight: number;

  /** @param orthRegWeight of the orthogonality term in the objective. Default 0: none. @throws LowrankError (ConfigError) for a weight below 0 */
  constructor(layers: readonly Triplets[], { kind, reference, scores }: FixedScores, orthRegWeight: number = 0) {
    this.kind = kind;
    this.reference = reference;
    this.#layers = layers;
    this.#orthRegWeight = checkedWeight(kind, orthRegWeight);
    const { device, dtype } = layers[0]!.e.parameter;
    this.#scores = device.parameter(Float64Array.from(scores), [scores.length], dtype);
  }

  scores(): Tensor {
    return this.#scores.value;
  }

  regularizer(): Tensor | undefined {
    return this.#orthRegWeight === 0 ? undefined : orthogonalityTerm(this.#layers, this.#orthRegWeight);
  }

  state(): Map<string, Parameter> {
    return new Map([["scores", this.#scores]]);
  }
}

/**
 * A budget that falls as AdaLoRA's does, where scores are given.
 * @param scores of the triplets of modules with ranks, in the order of the modules
 */
export function fixedScores(layers: readonly Triplets[], scores: FixedScores, options: ScoredOptions): BudgetAllocator {
  const { orthRegWeight, ...budget } = checkOptions("fixedScores", SCORED_RULES, options);
  return new BudgetAllocator(layers, (living) => new FixedScoresRule(living, scores, orthRegWeight), budget);
}
