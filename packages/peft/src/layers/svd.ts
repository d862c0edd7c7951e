/**
 * AdaLoRA's update in the form of a singular value decomposition (Zhang et al. 2023): s·B·(A ⊙ E), A [r, in], B [out, r], E [r, 1].
 * s = alpha/(ranknum + 1e-5), where ranknum is the initial rank and stays so when ranks are masked, as in PEFT.
 */
import { Weight } from "@lowrank/nn";
import { ops, toMemory, type Parameter, type Tensor } from "@lowrank/tensor";
import { LowRankUpdate, numbersOf, type LowRankOptions } from "./low-rank.ts";
import type { NamedUpdateWeight, Product, Ranks, UpdateBase } from "./update.ts";

const RANKNUM_EPS = 1e-5;

export interface SvdOptions extends LowRankOptions {
  /** Rank that the scale is made from, where it is not `rank`: after the rank was cut. */
  readonly initialRank?: number;
  /** False: A, B and E are all N(0, 1), PEFT's `init_lora_weights: false`. Default true. */
  readonly identity?: boolean;
}

export class SvdUpdate extends LowRankUpdate implements Ranks {
  readonly kind = "adalora";
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
      { memory: "ranknum.{}", file: "", weight: this.ranknum, fixed: true },
    ];
  }

  /** The factor of B·(A ⊙ E): a number, unless ranknum is made to train as some of PEFT's own runs did. */
  get factor(): number | Tensor {
    if (!this.ranknum.trainable) return this.scale / (this.initialRank + RANKNUM_EPS);
    return ops.div(this.scale, ops.add(this.ranknum.value, RANKNUM_EPS));
  }

  forward(x: Tensor, y: Tensor, shape: readonly number[]): Tensor {
    const input = this.dropout.forward(ops.cast(x, this.a.value.dtype), { shape });
    const down = ops.mul(ops.matmul(input, ops.transpose(ops.mul(this.a.value, this.e.value))), this.factor);
    return ops.add(y, ops.matmul(down, ops.transpose(this.b.value)));
  }

  delta(): Tensor {
    return ops.mul(ops.matmul(this.b.value, ops.mul(this.a.value, this.e.value)), this.factor);
  }

  readonly alone = true;

  /** E goes into the rows of A. */
  async numbers(): Promise<Product> {
    const { rank, factor } = this;
    const [a, b, e] = [await numbersOf(this.a), await numbersOf(this.b), await numbersOf(this.e)];
    const { inFeatures } = this.base;
    return {
      rank,
      a: a.map((v, i) => v * e[Math.floor(i / inFeatures)]!),
      b,
      scale: typeof factor === "number" ? factor : await factor.item(),
    };
  }

  override get ranks(): Ranks {
    return this;
  }

  override async initialize(): Promise<void> {
    const { parameter } = this.ranknum;
    parameter.write(toMemory(parameter.dtype, [this.initialRank], "f64"));
  }

  /** Rows of A and E, columns of B. The scale stays that of the initial rank. */
  async cut(kept: readonly number[]): Promise<SvdUpdate> {
    const next = new SvdUpdate(this.base, {
      rank: kept.length,
      scale: this.scale,
      dropout: this.dropout.p,
      initialRank: this.initialRank,
    });
    await take(this.a, next.a, (k, i) => kept[k]! * this.base.inFeatures + i);
    await take(this.b, next.b, (o, k) => o * this.rank + kept[k]!);
    await take(this.e, next.e, (k) => kept[k]!);
    await take(this.ranknum, next.ranknum, (i) => i);
    return next;
  }
}

/** Fills `to` with elements of `from`: `at` gives the place of row i, column j. */
async function take(from: Weight, to: Weight, at: (i: number, j: number) => number): Promise<void> {
  const { parameter }: { parameter: Parameter } = from;
  const data = await parameter.data();
  const values = data.slice(0, to.size);
  const columns = to.shape[1] ?? 1;
  for (let i = 0; i < to.size; i++) values[i] = data[at(Math.floor(i / columns), i % columns)]!;
  to.parameter = parameter.device.parameter(values, to.shape, parameter.dtype, parameter.dtype);
  to.name = from.name;
  to.trainable = from.trainable;
  from.dispose();
}
