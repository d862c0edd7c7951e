/** Which weights' gradients are told together: what a part of an adapter is called, the head, and whatever else of the base trains. */
import { gradNorm, type Optimizer, type Weight } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";

/** What trains, as far as groups are told from it. */
export interface Grouped {
  readonly base: { readonly head: readonly string[] };
  readonly trainable: readonly { readonly name: string; readonly weight: Weight }[];
}

/** A weight of an adapter: `….query.lora_A.default.weight`. */
const PART = /\.(\w+)\.default(?:\.(?:weight|bias))?$/;

/**
 * `A`, `B` and `E` (singular values) of low-rank updates, `magnitude` of DoRA, `ia3_l`, `vera_lambda_b`, …; `head`; `base`.
 * @param head modules of it, by name
 */
export function gradientGroup(name: string, head: readonly string[]): string {
  if (head.some((module) => name === module || name.startsWith(`${module}.`))) return "head";
  const part = PART.exec(name)?.[1];
  if (part === undefined || part === "modules_to_save") return "base";
  return part.replace(/^lora_(embedding_)?/, "").replace(/_vector$/, "");
}

/** Norms of a step's gradients, group by group, where there are several. */
export class GroupNorms {
  /** Places of each group's weights in the optimizer's order. */
  readonly #groups = new Map<string, number[]>();

  constructor({ weights }: Pick<Optimizer, "weights">, { base, trainable }: Grouped) {
    const names = new Map(trainable.map(({ name, weight }) => [weight, name]));
    for (const [i, weight] of weights.entries()) {
      const group = gradientGroup(names.get(weight)!, base.head);
      this.#groups.set(group, [...(this.#groups.get(group) ?? []), i]);
    }
  }

  /** `norms` [groups]: their squares are those that the global norm adds up, and are computed once. */
  of(grads: readonly Tensor[]): { readonly norms?: Tensor } {
    if (this.#groups.size < 2) return {};
    return { norms: ops.stack([...this.#groups.values()].map((places) => gradNorm(places.map((i) => grads[i]!)))) };
  }

  async read({ norms }: { readonly norms?: Tensor }): Promise<Record<string, number>> {
    const values = await norms?.floats();
    return values === undefined
      ? {}
      : Object.fromEntries([...this.#groups.keys()].map((name, i) => [name, values[i]!]));
  }
}
