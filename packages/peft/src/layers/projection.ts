/** A projection with adapters on it. Several may sit on one layer; those that are active add up in order. */
import { Projection, type Module, type Weight } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";
import { Adapters } from "./adapters.ts";
import { LoraUpdate, type LoraOptions } from "./lora.ts";
import type { NamedUpdateWeight, Update, UpdateBase } from "./update.ts";

export class LoraProjection extends Projection {
  readonly base: Projection;
  readonly adapters: Adapters;

  /** @param options a LoRA update called "default" to begin with */
  constructor(base: Projection, options?: LoraOptions) {
    super();
    this.base = base;
    this.adapters = new Adapters(() => ({
      site: this.site,
      weight: base.weight,
      bias: base.bias,
      transposed: base.fanInFanOut,
    }));
    if (options !== undefined) this.adapters.add("default", new LoraUpdate(this.site, options));
  }

  get inFeatures(): number {
    return this.base.inFeatures;
  }
  get outFeatures(): number {
    return this.base.outFeatures;
  }
  get weight(): Weight {
    return this.base.weight;
  }
  get bias(): Weight | undefined {
    return this.base.bias;
  }
  get fanInFanOut(): boolean {
    return this.base.fanInFanOut;
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

  /** The first active update's parts, for the common case of one LoRA. */
  get first(): Update {
    return this.updates.get(this.adapters.active[0] ?? "default")!;
  }
  get a(): Weight {
    return (this.first as LoraUpdate).a;
  }
  get b(): Weight {
    return (this.first as LoraUpdate).b;
  }
  get rank(): number {
    return this.first.rank;
  }
  get scale(): number {
    return this.first.scale;
  }
  set scale(scale: number) {
    this.first.scale = scale;
  }

  /** The base keeps its checkpoint names; adapters have PEFT's in-memory names. */
  override *namedWeights(prefix = ""): Generator<[string, Weight]> {
    yield* this.base.namedWeights(prefix);
    yield* this.adapters.namedWeights(prefix);
  }

  override *children(): Generator<[string, Module]> {
    yield ["base", this.base];
    for (const [name, { dropout }] of this.updates) yield [`lora_dropout.${name}`, dropout];
  }

  forward(x: Tensor): Tensor {
    const y = this.base.forward(x);
    const { acting } = this.adapters;
    if (acting.length === 0) return y;
    return this.scoped(() => {
      const input = ops.reshape(x, [-1, this.inFeatures]);
      const out = acting.reduce((sum, update) => update.forward(input, sum), ops.reshape(y, [-1, this.outFeatures]));
      return ops.reshape(ops.cast(out, y.dtype), y.shape);
    });
  }

  /** Sum of the active low-rank products, in the orientation of the base weight. DoRA's rescaling is not in it. */
  delta(): Tensor {
    const sum = this.adapters.active.map((name) => this.updates.get(name)!.delta()).reduce((a, b) => ops.add(a, b));
    return this.fanInFanOut ? ops.transpose(sum) : sum;
  }
}
