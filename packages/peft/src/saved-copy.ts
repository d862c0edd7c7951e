/** A module of `modules_to_save`: the original stays frozen, a copy is trained. */
import { Projection, type Weight } from "@lowrank/nn";
import { structureChanged, type Tensor } from "@lowrank/tensor";

export class SavedCopy extends Projection {
  readonly original: Projection;
  readonly copies: Map<string, Projection> = new Map();
  #active = "";
  #enabled = true;

  constructor(original: Projection) {
    super();
    this.original = original;
  }

  /** Name of the adapter whose copy takes part. */
  get active(): string { return this.#active; }

  set active(name: string) {
    if (name !== this.#active) structureChanged();
    this.#active = name;
  }

  get enabled(): boolean { return this.#enabled; }

  set enabled(on: boolean) {
    if (on !== this.#enabled) structureChanged();
    this.#enabled = on;
  }

  get copy(): Projection { return this.copies.get(this.active) ?? this.original; }
  get inFeatures(): number { return this.original.inFeatures; }
  get outFeatures(): number { return this.original.outFeatures; }
  get weight(): Weight { return this.copy.weight; }
  get bias(): Weight | undefined { return this.copy.bias; }
  get fanInFanOut(): boolean { return this.original.fanInFanOut; }

  override *namedWeights(prefix = ""): Generator<[string, Weight]> {
    yield* this.original.namedWeights(prefix);
    for (const [name, copy] of this.copies) yield* copy.namedWeights(`${prefix}.modules_to_save.${name}`);
  }

  forward(x: Tensor): Tensor {
    return (this.enabled ? this.copy : this.original).forward(x);
  }
}
