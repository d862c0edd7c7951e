/**
 * Ranks that are given module by module, reached by AdaLoRA's way: the budget falls on the same schedule, and inside a module those triplets stay that
 * AdaLoRA's importance likes best. So a control of this kind differs from AdaLoRA only in how many ranks each module gets.
 *
 * A triplet's score is how many ranks its module is given, less how many of its module come before it by importance: while the budget falls,
 * modules lose ranks where they have most above what they are given, all alike.
 */
import { LowrankError, ops, type Parameter, type Tensor } from "@lowrank/tensor";
import { checkOptions } from "@lowrank/tensor/check";
import { SensitivityRule } from "./adalora.ts";
import { BudgetAllocator } from "./allocator.ts";
import type { Triplets } from "./method.ts";
import { ADALORA_OPTION_RULES, type AdaLoraOptions } from "./options.ts";
import type { ScoreContext, ScoreRule } from "./rule.ts";
import { ahead } from "./selection.ts";

export interface GivenRanks {
  /** Name for records. */
  readonly kind: string;
  /** The paper, or what the ranks are. */
  readonly reference: string;
  /** By module path; all modules, 0 for none. */
  readonly ranks: ReadonlyMap<string, number>;
}

export class GivenRanksRule implements ScoreRule {
  readonly kind: string;
  readonly reference: string;
  readonly usesGradients = true;
  readonly #layers: readonly Triplets[];
  readonly #wanted: readonly number[];
  readonly #importance: SensitivityRule;

  constructor(
    layers: readonly Triplets[],
    { kind, reference, ranks }: GivenRanks,
    options: Pick<AdaLoraOptions, "beta1" | "beta2" | "orthRegWeight"> = {},
  ) {
    this.kind = kind;
    this.reference = reference;
    this.#layers = layers;
    this.#wanted = layers.map(({ name }) => ranks.get(name)!);
    this.#importance = new SensitivityRule(layers, options);
  }

  scores(context: ScoreContext): Tensor {
    const importance = this.#importance.scores(context);
    const { device, dtype } = importance;
    const sizes = this.#layers.map(({ e }) => e.size);
    const owner = device.tensor(
      Int32Array.from(sizes.flatMap((size, m) => Array<number>(size).fill(m))),
      [importance.size],
      "i32",
    );
    // above 0 for the best of every module, whatever it is given
    const most = Math.max(...sizes);
    const given = device.tensor(
      sizes.flatMap((size, m) => Array<number>(size).fill(this.#wanted[m]! + most)),
      [importance.size],
      dtype,
    );
    const scores = ops.sub(given, ahead(importance, owner));
    // comparisons would hide what is not a number
    return ops.where(ops.isfinite(importance), scores, importance);
  }

  regularizer(): Tensor {
    return this.#importance.regularizer();
  }

  state(): Map<string, Parameter> {
    return this.#importance.state();
  }
}

/**
 * A budget that falls as AdaLoRA's does, to ranks that are given.
 * @throws LowrankError (ConfigError) for a module without a rank, or with more than it begins with, and for ranks that are not the target's sum
 */
export function givenRanks(layers: readonly Triplets[], given: GivenRanks, options: AdaLoraOptions): BudgetAllocator {
  const checked = checkOptions("givenRanks", ADALORA_OPTION_RULES, options);
  let sum = 0;
  for (const { name, e } of layers) {
    const rank = given.ranks.get(name);
    if (rank === undefined || !Number.isInteger(rank) || rank < 0 || rank > e.size)
      throw new LowrankError(
        "ConfigError",
        `${given.kind}: ${name} ${rank === undefined ? "is given no rank" : `is given rank ${rank}`}, and begins with ${e.size}; ranks are whole numbers from 0 to that`,
      );
    sum += rank;
  }
  const target = (checked.targetRank ?? 8) * layers.length;
  if (sum !== target)
    throw new LowrankError(
      "ConfigError",
      `${given.kind}: the ranks given add up to ${sum}, and the target is ${target} (${checked.targetRank ?? 8} × ${layers.length} modules); the two must be equal`,
    );
  return new BudgetAllocator(layers, (living) => new GivenRanksRule(living, given, checked), checked);
}
