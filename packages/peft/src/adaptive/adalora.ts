/**
 * AdaLoRA's importance (Zhang et al. 2023, "Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning", arXiv:2303.10512, §3.2):
 * sensitivity |p·∂L/∂p| smoothed over steps, times its smoothed uncertainty. p is the value after the optimizer's step, as in PEFT and
 * in the authors' code.
 */
import type { Weight } from "@lowrank/nn";
import { LowrankError, ops, type Parameter, type Tensor } from "@lowrank/tensor";
import { checkOptions } from "@lowrank/tensor/check";
import { stepsOf, type AdaLoraConfig } from "../lora/adalora-config.ts";
import { BudgetAllocator } from "./allocator.ts";
import type { Triplets } from "./method.ts";
import { ADALORA_OPTION_RULES, type AdaLoraOptions } from "./options.ts";
import { checkedWeight, orthogonalityTerm } from "./orthogonality.ts";
import { joined, joinedE, zerosLike, type ScoreContext, type ScoreRule } from "./rule.ts";

interface Averages {
  readonly sensitivity: Parameter;
  readonly uncertainty: Parameter;
}

export class SensitivityRule implements ScoreRule {
  readonly kind = "adalora";
  readonly reference =
    "Zhang et al. 2023, Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning, arXiv:2303.10512";
  readonly usesGradients = true;
  readonly #layers: readonly Triplets[];
  readonly #betas: readonly [number, number];
  readonly #orthRegWeight: number;
  readonly #matrices: ReadonlyMap<Weight, Averages>;
  /** E of all modules together. */
  readonly #e: Averages;

  constructor(layers: readonly Triplets[], options: Pick<AdaLoraOptions, "beta1" | "beta2" | "orthRegWeight"> = {}) {
    this.#layers = layers;
    this.#betas = [options.beta1 ?? 0.85, options.beta2 ?? 0.85];
    this.#orthRegWeight = checkedWeight("AdaLoRA", options.orthRegWeight ?? 0.5);
    for (const [i, beta] of this.#betas.entries())
      if (!(beta >= 0 && beta < 1))
        throw new LowrankError("ConfigError", `AdaLoRA: beta${i + 1} must lie in [0, 1), got ${beta}`);
    this.#matrices = new Map(
      layers.flatMap(({ a, b }) => [
        [a, averages(a)],
        [b, averages(b)],
      ]),
    );
    this.#e = averages(layers[0]!.e, [layers.reduce((n, { e }) => n + e.size, 0)]);
  }

  scores(context: ScoreContext): Tensor {
    const e = this.#score(
      this.#e,
      joinedE(this.#layers, (w) => w.value),
      joinedE(this.#layers, (w) => context.gradient(w)),
      context,
    );
    const mean = (weight: Weight, over: number): Tensor =>
      ops.mean(this.#score(this.#matrices.get(weight)!, weight.value, context.gradient(weight), context), over);
    const vectors = joined(this.#layers.map(({ a, b }) => ops.add(mean(a, 1), mean(b, 0))));
    return ops.add(e, vectors);
  }

  /** S ← β₁S + (1−β₁)I, U ← β₂U + (1−β₂)|I − S| with the new S; S·U. */
  #score({ sensitivity, uncertainty }: Averages, value: Tensor, gradient: Tensor, { learn }: ScoreContext): Tensor {
    const [beta1, beta2] = this.#betas;
    const now = ops.abs(ops.mul(value, gradient));
    const smoothed = ops.add(ops.mul(sensitivity.value, beta1), ops.mul(now, 1 - beta1));
    const spread = ops.add(ops.mul(uncertainty.value, beta2), ops.mul(ops.abs(ops.sub(now, smoothed)), 1 - beta2));
    return ops.mul(learn(sensitivity, smoothed), learn(uncertainty, spread));
  }

  regularizer(): Tensor {
    return orthogonalityTerm(this.#layers, this.#orthRegWeight);
  }

  state(): Map<string, Parameter> {
    const named = (name: string, { sensitivity, uncertainty }: Averages): [string, Parameter][] => [
      [`sensitivity.${name}`, sensitivity],
      [`uncertainty.${name}`, uncertainty],
    ];
    return new Map([
      ...named("lora_E", this.#e),
      ...this.#layers.flatMap(({ name, a, b }) => [
        ...named(`${name}.lora_A`, this.#matrices.get(a)!),
        ...named(`${name}.lora_B`, this.#matrices.get(b)!),
      ]),
    ]);
  }
}

function averages(weight: Weight, shape?: readonly number[]): Averages {
  return { sensitivity: zerosLike(weight, shape), uncertainty: zerosLike(weight, shape) };
}

/** AdaLoRA over modules in SVD form that are in memory. */
export function adaLora(layers: readonly Triplets[], options: AdaLoraOptions): BudgetAllocator {
  const checked = checkOptions("adaLora", ADALORA_OPTION_RULES, options);
  return new BudgetAllocator(layers, (living) => new SensitivityRule(living, checked), checked);
}

/** The allocator's options out of an adapter's configuration, which is PEFT's. */
export function adaLoraOptions(config: AdaLoraConfig): AdaLoraOptions {
  const { totalStep, targetR, beta1, beta2, orthRegWeight } = config;
  return { totalSteps: totalStep, ...stepsOf(config), targetRank: targetR, beta1, beta2, orthRegWeight };
}
