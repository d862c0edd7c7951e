/** Updates that add scale·(a product of low rank) to what the layer gives. */
import { Dropout, type Module, type Weight } from "@lowrank/nn";
import { ops, structureChanged, toMemory, type Tensor } from "@lowrank/tensor";
import { Update, type LowRank, type UpdateBase } from "./update.ts";

export interface LowRankOptions {
  readonly rank: number;
  /** Factor of the update. */
  readonly scale: number;
  /** Probability on the update's input. */
  readonly dropout: number;
}

/** A weight's numbers on the host. */
export async function numbersOf(weight: Weight): Promise<Float32Array> {
  const { data, dtype } = await weight.read();
  return toMemory("f32", data, dtype) as Float32Array;
}

export abstract class LowRankUpdate extends Update implements LowRank {
  readonly rank: number;
  readonly dropout: Dropout;
  #scale: number;

  constructor(base: UpdateBase, { rank, scale, dropout }: LowRankOptions) {
    super(base);
    this.rank = rank;
    this.#scale = scale;
    this.dropout = new Dropout(dropout);
  }

  override get scale(): number {
    return this.#scale;
  }

  override set scale(scale: number) {
    if (scale !== this.#scale) structureChanged();
    this.#scale = scale;
  }

  override get lowRank(): LowRank {
    return this;
  }

  override modules(adapter: string): readonly [string, Module][] {
    return [[`lora_dropout.${adapter}`, this.dropout]];
  }

  /** The product itself, [out, in]. */
  abstract delta(): Tensor;

  mergedInto(matrix: Tensor): Tensor {
    return ops.add(matrix, ops.cast(this.delta(), matrix.dtype));
  }
}
