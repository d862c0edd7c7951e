/** LoRA (Hu et al. 2022): y + s·B(A(dropout(x))), A [r, in], B [out, r]. B starts at zero, so nothing changes at first. */
import { Weight, type Init } from "@lowrank/nn";
import { ops, type StoredTensor, type Tensor } from "@lowrank/tensor";
import { LowRankUpdate, numbersOf, type LowRankOptions } from "./low-rank.ts";
import type { LowRank, NamedUpdateWeight, Product, UpdateBase } from "./update.ts";

export interface LoraOptions extends LowRankOptions {
  /** Default: U(±1/√in), which is PEFT's kaiming_uniform(a = √5). */
  readonly initA?: Init;
  readonly initB?: Init;
  /** Whether B has a bias of its own (`lora_bias`). */
  readonly loraBias?: boolean;
}

export class LoraUpdate extends LowRankUpdate {
  readonly kind: string = "lora";
  readonly a: Weight;
  readonly b: Weight;
  readonly bias: Weight | undefined;

  constructor(base: UpdateBase, options: LoraOptions) {
    super(base, options);
    this.a = new Weight(
      [options.rank, base.inFeatures],
      options.initA ?? { kind: "uniform", bound: 1 / Math.sqrt(base.inFeatures) },
    );
    this.b = new Weight([base.outFeatures, options.rank], options.initB ?? { kind: "zeros" });
    this.bias = options.loraBias === true ? new Weight([base.outFeatures], { kind: "zeros" }) : undefined;
  }

  /** A bias of B's own cannot be said by two factors. */
  get factors(): LowRank["factors"] {
    return this.bias === undefined ? { a: this.a, b: this.b, scale: this.scale } : undefined;
  }

  /** A bias of B's own is none of a product; nor is what DoRA makes of it. */
  get alone(): boolean {
    return this.factors !== undefined;
  }

  async numbers(): Promise<Product> {
    const { rank, scale } = this;
    return { rank, scale, a: await numbersOf(this.a), b: await numbersOf(this.b) };
  }

  async beside(start: Product | undefined): Promise<ReadonlyMap<Weight, StoredTensor>> {
    const { inFeatures: n, outFeatures: m } = this.base;
    const { a, b, rank: r, scale } = await this.numbers();
    const other = start?.rank ?? r;
    const under = start?.a ?? new Float32Array(other * n);
    const factor = start === undefined ? 0 : -start.scale / scale;
    const wide = new Float32Array(m * (r + other));
    for (let o = 0; o < m; o++) {
      wide.set(b.subarray(o * r, (o + 1) * r), o * (r + other));
      for (let k = 0; k < other; k++)
        wide[o * (r + other) + r + k] = start === undefined ? 0 : factor * start.b[o * other + k]!;
    }
    return new Map<Weight, StoredTensor>([
      [this.a, { dtype: "f32", shape: [r + other, n], data: joined(a, under) }],
      [this.b, { dtype: "f32", shape: [m, r + other], data: wide }],
    ]);
  }

  get weights(): readonly NamedUpdateWeight[] {
    return [
      { memory: "lora_A.{}.weight", file: "lora_A.weight", weight: this.a },
      { memory: "lora_B.{}.weight", file: "lora_B.weight", weight: this.b },
      ...(this.bias === undefined ? [] : [{ memory: "lora_B.{}.bias", file: "lora_B.bias", weight: this.bias }]),
    ];
  }

  /** s·(B(A(x)) + bias), x after dropout. Scaled where it is narrow, [tokens, r], forward and backward. */
  protected product(x: Tensor): Tensor {
    const down = ops.mul(ops.matmul(x, ops.transpose(this.a.value)), this.scale);
    const up = ops.matmul(down, ops.transpose(this.b.value));
    return this.bias === undefined ? up : ops.add(up, ops.mul(this.bias.value, this.scale));
  }

  forward(x: Tensor, y: Tensor, shape: readonly number[]): Tensor {
    return ops.add(y, this.product(this.dropout.forward(ops.cast(x, this.a.value.dtype), { shape })));
  }

  /** s·B·(column of A), looked up by id; embeddings have no dropout (PEFT). */
  protected lookUp(ids: Tensor, paddingIndex: number | undefined): Tensor {
    return ops.mul(
      ops.matmul(ops.embedding(ops.transpose(this.a.value), ids, paddingIndex), ops.transpose(this.b.value)),
      this.scale,
    );
  }

  override embed(ids: Tensor, y: Tensor, paddingIndex: number | undefined): Tensor {
    return ops.add(y, this.lookUp(ids, paddingIndex));
  }

  override get changesBias(): boolean {
    return this.bias !== undefined;
  }
  override mergedBias(bias: Tensor): Tensor {
    return this.bias === undefined ? bias : ops.add(bias, ops.mul(this.bias.value, this.scale));
  }
  delta(): Tensor {
    return ops.mul(ops.matmul(this.b.value, this.a.value), this.scale);
  }
}

function joined(first: Float32Array, second: Float32Array): Float32Array {
  const out = new Float32Array(first.length + second.length);
  out.set(first);
  out.set(second, first.length);
  return out;
}
