/** A projection with adapters on it. Several may sit on one layer; those that are active add up in order. */
import type { Module, Projection, Weight } from "@lowrank/nn";
import { LowrankError, ops, type CrossEntropyOptions, type Tensor } from "@lowrank/tensor";
import { Adapters } from "./adapters.ts";
import type { NamedUpdateWeight, Update, UpdateBase } from "./update.ts";
import { WrappedProjection } from "./wrapped-projection.ts";

export class AdaptedProjection extends WrappedProjection {
  readonly adapters: Adapters;

  constructor(base: Projection) {
    super(base);
    this.adapters = new Adapters(() => ({
      site: this.site,
      weight: base.weight,
      bias: base.bias,
      transposed: base.fanInFanOut,
    }));
  }

  get updates(): Map<string, Update> {
    return this.adapters.updates;
  }
  get merged(): boolean {
    return this.adapters.merged;
  }

  /** The base as updates see it. */
  get site(): UpdateBase {
    const { base } = this;
    return {
      inFeatures: base.inFeatures,
      outFeatures: base.outFeatures,
      matrix: () => (base.fanInFanOut ? ops.transpose(base.weight.value) : base.weight.value),
      bias: () => base.bias?.value,
    };
  }

  add(name: string, update: Update): void {
    this.adapters.add(name, update);
  }

  /** Names of weights as an update gives them. */
  rename(w: NamedUpdateWeight): NamedUpdateWeight {
    return w;
  }

  /** The base keeps its checkpoint names; adapters have PEFT's in-memory names. */
  override *namedWeights(prefix = ""): Generator<[string, Weight]> {
    yield* this.base.namedWeights(prefix);
    yield* this.adapters.namedWeights(prefix);
  }

  override *children(): Generator<[string, Module]> {
    yield ["base", this.base];
    for (const [name, update] of this.updates) yield* update.modules(name);
  }

  /** Updates lie around one another: the last one sees x first, and what the layer gives last. */
  forward(x: Tensor): Tensor {
    const { acting } = this.adapters;
    if (acting.length === 0) return this.base.forward(x);
    // what update i sees stands at i + 1, what the base sees at 0
    const inputs = [x];
    for (const update of acting.toReversed()) inputs.unshift(this.scoped(() => update.input(inputs[0]!)));
    const y = this.base.forward(inputs[0]!);
    return this.scoped(() => {
      const rows = new Map(inputs.slice(1).map((input) => [input, input]));
      for (const input of rows.keys()) rows.set(input, ops.reshape(input, [-1, this.inFeatures]));
      const out = acting.reduce(
        (sum, update, i) => update.forward(rows.get(inputs[i + 1]!)!, sum, inputs[i + 1]!.shape),
        ops.reshape(y, [-1, this.outFeatures]),
      );
      return ops.reshape(ops.cast(out, y.dtype), y.shape);
    });
  }

  override crossEntropy(x: Tensor, labels: Tensor, options?: CrossEntropyOptions): Tensor {
    return this.adapters.acting.length === 0
      ? this.base.crossEntropy(x, labels, options)
      : super.crossEntropy(x, labels, options);
  }

  /** Sum of the active low-rank products, in the orientation of the base weight. DoRA's rescaling is not in it. @throws LowrankError (AdapterError) where one is of another kind */
  delta(): Tensor {
    const sum = this.adapters.active
      .map((name) => {
        const { lowRank, kind } = this.updates.get(name)!;
        if (lowRank === undefined)
          throw new LowrankError("AdapterError", `delta: adapter ${name} is ${kind}, which is no product of low rank`);
        return lowRank.delta();
      })
      .reduce((a, b) => ops.add(a, b));
    return this.fanInFanOut ? ops.transpose(sum) : sum;
  }
}
