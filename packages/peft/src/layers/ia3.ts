/**
 * IA³ (Liu et al. 2022, "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning", arXiv:2205.05638): a vector
 * l scales what a layer gives, l ⊙ (W·x + b), or in feed-forward layers what it gets, W·(l ⊙ x) + b. Several on a layer multiply.
 */
import { Weight } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import { Update, type NamedUpdateWeight, type UpdateBase } from "./update.ts";

export interface Ia3UpdateOptions {
  readonly scales: "input" | "output";
  /** False: N(0, 1) instead of ones, PEFT's `init_ia3_weights: false`. Default true. */
  readonly identity?: boolean;
}

export class Ia3Update extends Update {
  readonly kind = "ia3";
  readonly scales: "input" | "output";
  /** [out, 1], or [1, in] where the input is scaled: the shape that multiplies a matrix [out, in]. */
  readonly l: Weight;

  constructor(base: UpdateBase, { scales, identity = true }: Ia3UpdateOptions) {
    super(base);
    this.scales = scales;
    this.l = new Weight(
      scales === "input" ? [1, base.inFeatures] : [base.outFeatures, 1],
      identity ? { kind: "ones" } : { kind: "normal", std: 1 },
    );
  }

  get weights(): readonly NamedUpdateWeight[] {
    return [{ memory: "ia3_l.{}", file: "ia3_l", weight: this.l }];
  }

  /** x ⊙ l along the last dimension, in l's dtype. */
  #scaled(x: Tensor): Tensor {
    const l = this.l.value;
    return ops.mul(ops.cast(x, l.dtype), ops.reshape(l, [-1]));
  }

  override input(x: Tensor): Tensor {
    return this.scales === "input" ? ops.cast(this.#scaled(x), x.dtype) : x;
  }

  forward(_x: Tensor, y: Tensor): Tensor {
    return this.scales === "output" ? this.#scaled(y) : y;
  }

  mergedInto(matrix: Tensor): Tensor {
    const l = this.l.value;
    return ops.cast(ops.mul(ops.cast(matrix, l.dtype), l), matrix.dtype);
  }

  override get changesBias(): boolean {
    return this.scales === "output" && this.base.bias() !== undefined;
  }

  override mergedBias(bias: Tensor): Tensor {
    return this.scales === "output" ? ops.cast(this.#scaled(bias), bias.dtype) : bias;
  }
}
