/**
 * AdaLoRA's update in the form of a singular value decomposition (Zhang et al. 2023): s·B·(A ⊙ E), A [r, in], B [out, r], E [r, 1].
 * s = alpha/(ranknum + 1e-5), where ranknum is the initial rank and stays so when ranks are masked, as in PEFT.
 */
import { Dropout, Weight } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import { Update, type NamedUpdateWeight, type UpdateBase, type UpdateOptions } from "./update.ts";

const RANKNUM_EPS = 1e-5;

export interface SvdOptions extends UpdateOptions {
  /** Rank that the scale is made from, where it is not `rank`: after the rank was cut. */
  readonly initialRank?: number;
  /** False: A, B and E are all N(0, 1), PEFT's `init_lora_weights: false`. Default true. */
  readonly identity?: boolean;
}

export class SvdUpdate extends Update {
  readonly kind = "svd";
  readonly dropout: Dropout;
  readonly a: Weight;
  readonly b: Weight;
  readonly e: Weight;
  /** [1], frozen; PEFT counts it. Where it is made trainable, the scale follows it. */
  readonly ranknum: Weight;
  readonly initialRank: number;

  constructor(base: UpdateBase, options: SvdOptions) {
    super(base, options);
    const { rank } = options;
    this.initialRank = options.initialRank ?? rank;
    this.dropout = new Dropout(options.dropout);
    const std = options.identity === false ? 1 : 0.02;
    this.a = new Weight([rank, base.inFeatures], { kind: "normal", std });
    this.b = new Weight([base.outFeatures, rank], { kind: "normal", std });
    this.e = new Weight([rank, 1], options.identity === false ? { kind: "normal", std } : { kind: "zeros" });
    this.ranknum = new Weight([1], { kind: "ones" });
    this.ranknum.trainable = false;
  }

  get weights(): readonly NamedUpdateWeight[] {
    return [
      { memory: "lora_A.{}", file: "lora_A", weight: this.a },
      { memory: "lora_B.{}", file: "lora_B", weight: this.b },
      { memory: "lora_E.{}", file: "lora_E", weight: this.e },
      { memory: "ranknum.{}", file: "", weight: this.ranknum },
    ];
  }

  /** The factor of B·(A ⊙ E): a number, unless ranknum is made to train as some of PEFT's own runs did. */
  get factor(): number | Tensor {
    if (!this.ranknum.trainable) return this.scale / (this.initialRank + RANKNUM_EPS);
    return ops.div(this.scale, ops.add(this.ranknum.value, RANKNUM_EPS));
  }

  forward(x: Tensor, y: Tensor): Tensor {
    const input = this.dropout.forward(ops.cast(x, this.a.value.dtype));
    const down = ops.mul(ops.matmul(input, ops.transpose(ops.mul(this.a.value, this.e.value))), this.factor);
    return ops.add(y, ops.matmul(down, ops.transpose(this.b.value)));
  }

  delta(): Tensor {
    return ops.mul(ops.matmul(this.b.value, ops.mul(this.a.value, this.e.value)), this.factor);
  }
  mergedInto(matrix: Tensor): Tensor {
    return ops.add(matrix, ops.cast(this.delta(), matrix.dtype));
  }
}
