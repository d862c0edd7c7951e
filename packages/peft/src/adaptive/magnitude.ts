/**
 * Budget by size: a triplet's score is the Frobenius norm of what it adds to the weight, ‖e_k·b_k·a_kᵀ‖_F = |e_k|·‖b_k‖·‖a_k‖.
 * After Mao et al. 2024, "DoRA: Enhancing Parameter-Efficient Fine-Tuning with Dynamic Rank Distribution" (ACL 2024,
 * arXiv:2405.17357), who prune single-rank components by the norm of their contribution; here norms of all modules are compared as
 * they are. Needs no gradients and no state.
 */
import { ops, type Parameter, type Tensor } from "@lowrank/tensor";
import { checkOptions } from "@lowrank/tensor/check";
import { BudgetAllocator } from "./allocator.ts";
import type { Triplets } from "./method.ts";
import { ALLOCATOR_RULES, type AllocatorOptions } from "./options.ts";
import { joined, joinedE, type ScoreRule } from "./rule.ts";

export class MagnitudeRule implements ScoreRule {
  readonly kind = "magnitude";
  readonly reference =
    "Mao et al. 2024, DoRA: Enhancing Parameter-Efficient Fine-Tuning with Dynamic Rank Distribution, arXiv:2405.17357";
  readonly usesGradients = false;
  readonly #layers: readonly Triplets[];

  constructor(layers: readonly Triplets[]) {
    this.#layers = layers;
  }

  scores(): Tensor {
    const squares = joined(
      this.#layers.map(({ a, b }) => ops.mul(ops.sum(ops.square(a.value), 1), ops.sum(ops.square(b.value), 0))),
    );
    return ops.mul(ops.abs(joinedE(this.#layers, (w) => w.value)), ops.sqrt(squares));
  }

  state(): Map<string, Parameter> {
    return new Map();
  }
}

export function magnitudeBudget(layers: readonly Triplets[], options: AllocatorOptions): BudgetAllocator {
  const checked = checkOptions("magnitudeBudget", ALLOCATOR_RULES, options);
  return new BudgetAllocator(layers, (living) => new MagnitudeRule(living), checked);
}
