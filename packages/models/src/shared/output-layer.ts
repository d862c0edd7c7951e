/** The output layer of language models, which may be the embedding table. */
import { Linear, Projection, type Init, type Weight } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";

/** An output layer that has no weight of its own: it uses the embedding table [vocab, hidden]. */
export class TiedLinear extends Projection {
  readonly #table: Weight;
  readonly bias = undefined;
  readonly fanInFanOut = false;

  constructor(table: Weight) {
    super();
    this.#table = table;
  }

  get weight(): Weight {
    return this.#table;
  }
  get inFeatures(): number {
    return this.#table.shape[1]!;
  }
  get outFeatures(): number {
    return this.#table.shape[0]!;
  }

  forward(x: Tensor): Tensor {
    return this.scoped(() => ops.linear(x, this.#table.value));
  }
}

export function outputLayer(table: Weight, tied: boolean, init: Init): Projection {
  return tied ? new TiedLinear(table) : new Linear(table.shape[1]!, table.shape[0]!, { bias: false, init });
}
