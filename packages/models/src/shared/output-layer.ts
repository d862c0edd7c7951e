/** The output layer of language models, which may be the embedding table. */
import { Linear, linearCrossEntropy, Projection, Weight, type Init } from "@lowrank/nn";
import { ops, type CrossEntropyOptions, type Tensor } from "@lowrank/tensor";

/** What scores words: an output layer, or a table that is used as one. */
export type WordHead = Pick<Projection, "forward" | "crossEntropy">;

/**
 * An embedding table with a bias of somebody else's as what scores words.
 * @param within names the nodes
 */
export function tableHead(weight: Weight, bias: Weight, within: <T>(body: () => T) => T): WordHead {
  return {
    forward: (x) => within(() => ops.linear(x, weight.value, bias.value)),
    crossEntropy: (x, labels, options) => within(() => linearCrossEntropy({ weight, bias }, x, labels, options)),
  };
}

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

  override crossEntropy(x: Tensor, labels: Tensor, options?: CrossEntropyOptions): Tensor {
    return this.scoped(() => linearCrossEntropy(this, x, labels, options));
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
