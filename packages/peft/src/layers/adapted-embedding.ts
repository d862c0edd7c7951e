/** An embedding with adapters on it: rows of Aᵀ are looked up and multiplied by B. A [r, vocab] starts at zero, B [dim, r] normal. */
import { Module, type Embedding, type Weight } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import { Adapters } from "./adapters.ts";
import type { NamedUpdateWeight, Update, UpdateBase } from "./update.ts";

export class AdaptedEmbedding extends Module {
  readonly base: Embedding;
  readonly adapters: Adapters;

  constructor(base: Embedding) {
    super();
    this.base = base;
    this.adapters = new Adapters(() => ({ site: this.site, weight: base.weight, bias: undefined, transposed: true }));
  }

  get weight(): Weight {
    return this.base.weight;
  }
  get updates(): Map<string, Update> {
    return this.adapters.updates;
  }
  get merged(): boolean {
    return this.adapters.merged;
  }

  get site(): UpdateBase {
    const [count, dim] = this.base.weight.shape as [number, number];
    return {
      inFeatures: count,
      outFeatures: dim,
      matrix: () => ops.transpose(this.base.weight.value),
      bias: () => undefined,
    };
  }

  /** `lora_embedding_A.default` instead of `lora_A.default.weight`; in files without the adapter's name. */
  rename({ memory, file, weight }: NamedUpdateWeight): NamedUpdateWeight {
    const turn = (name: string): string =>
      /^lora_[AB]\./.test(name) ? name.replace("lora_", "lora_embedding_").replace(/\.weight$/, "") : name;
    return { memory: turn(memory), file: turn(file), weight };
  }

  override *namedWeights(prefix = ""): Generator<[string, Weight]> {
    yield* this.base.namedWeights(prefix);
    yield* this.adapters.namedWeights(prefix, (w) => this.rename(w));
  }

  override *children(): Generator<[string, Module]> {
    yield ["base", this.base];
  }

  forward(ids: Tensor): Tensor {
    const y = this.base.forward(ids);
    const { acting } = this.adapters;
    if (acting.length === 0) return y;
    return this.scoped(() =>
      ops.cast(
        acting.reduce((sum, update) => update.embed(ids, sum, this.base.paddingIndex), y),
        y.dtype,
      ),
    );
  }
}
