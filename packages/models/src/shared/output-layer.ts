/** The output layer of language models, which may be the embedding table. */
import { Linear, Projection, Weight, type Init } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";

/** An output layer that has no weight of its own: it uses the embedding table [vocab, hidden]. A bias may be its own. */
export class TiedLinear extends Projection {
  readonly #table: Weight;
  readonly bias: Weight | undefined;
  readonly fanInFanOut = false;

  constructor(table: Weight, options: { readonly bias?: boolean } = {}) {
    super();
    this.#table = table;
    this.bias = options.bias === true ? new Weight([table.shape[0]!], { kind: "zeros" }) : undefined;
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
    return this.scoped(() => ops.linear(x, this.#table.value, this.bias?.value));
  }
}

export function outputLayer(
  table: Weight,
  tied: boolean,
  init: Init,
  { bias = false }: { readonly bias?: boolean } = {},
): Projection {
  return tied ? new TiedLinear(table, { bias }) : new Linear(table.shape[1]!, table.shape[0]!, { bias, init });
}
