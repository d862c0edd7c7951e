/** An output layer that has its weight in an embedding table: rows of the table that an adapter trains count here too. */
import type { Module, Projection, Weight } from "@lowrank/nn";
import { ops, type CrossEntropyOptions, type Tensor } from "@lowrank/tensor";
import type { AdaptedEmbedding } from "./adapted-embedding.ts";
import { TokenRows } from "./token-rows.ts";
import { WrappedProjection } from "./wrapped-projection.ts";

export class TiedWords extends WrappedProjection {
  readonly #table: AdaptedEmbedding;

  constructor(base: Projection, table: AdaptedEmbedding) {
    super(base);
    this.#table = table;
  }

  /** Whether an adapter on the table still trains rows of it. */
  get needed(): boolean {
    return [...this.#table.updates.values()].some((update) => update instanceof TokenRows);
  }

  get #acting(): TokenRows[] {
    return this.#table.adapters.acting.filter((update) => update instanceof TokenRows);
  }

  override *namedWeights(prefix = ""): Generator<[string, Weight]> {
    yield* this.base.namedWeights(prefix);
  }

  override *children(): Generator<[string, Module]> {
    yield ["base", this.base];
  }

  forward(x: Tensor): Tensor {
    const y = this.base.forward(x);
    const acting = this.#acting;
    if (acting.length === 0) return y;
    return this.scoped(() => {
      const rows = ops.reshape(x, [-1, this.inFeatures]);
      const out = acting.reduce(
        (scores, update) => update.score(rows, scores, this.bias?.value),
        ops.reshape(y, [-1, this.outFeatures]),
      );
      return ops.reshape(out, y.shape);
    });
  }

  override crossEntropy(x: Tensor, labels: Tensor, options?: CrossEntropyOptions): Tensor {
    return this.#acting.length === 0
      ? this.base.crossEntropy(x, labels, options)
      : super.crossEntropy(x, labels, options);
  }
}
