/** LoRA on a projection (Hu et al. 2022): y = base(x) + s·B(A(dropout(x))), A [r, in], B [out, r]. B starts at zero, so nothing changes at first. */
import { Dropout, Projection, Weight } from "@lowrank/nn";
import { LowrankError, ops, type Tensor, type TypedArray } from "@lowrank/tensor";

export interface LoraLayerOptions { readonly rank: number; readonly scale: number; readonly dropout: number }

export class LoraProjection extends Projection {
  readonly base: Projection;
  readonly dropout: Dropout;
  readonly rank: number;
  scale: number;
  enabled = true;
  readonly #a: Weight;
  readonly #b: Weight;
  /** The base weight before a merge, so that undoing it is exact. */
  #pristine: TypedArray | undefined;

  constructor(base: Projection, options: LoraLayerOptions) {
    super();
    this.base = base;
    this.rank = options.rank;
    this.scale = options.scale;
    this.dropout = new Dropout(options.dropout);
    // kaiming_uniform(a = √5) over `in` is U(±1/√in)
    this.#a = new Weight([options.rank, base.inFeatures], { kind: "uniform", bound: 1 / Math.sqrt(base.inFeatures) });
    this.#b = new Weight([base.outFeatures, options.rank], { kind: "zeros" });
  }

  get inFeatures(): number { return this.base.inFeatures; }
  get outFeatures(): number { return this.base.outFeatures; }
  get weight(): Weight { return this.base.weight; }
  get bias(): Weight | undefined { return this.base.bias; }
  get fanInFanOut(): boolean { return this.base.fanInFanOut; }
  get merged(): boolean { return this.#pristine !== undefined; }
  get a(): Weight { return this.#a; }
  get b(): Weight { return this.#b; }

  /** The base keeps its checkpoint names; the adapter has PEFT's in-memory names. */
  override *namedWeights(prefix = ""): Generator<[string, Weight]> {
    yield* this.base.namedWeights(prefix);
    yield [`${prefix}.lora_A.default.weight`, this.#a];
    yield [`${prefix}.lora_B.default.weight`, this.#b];
  }

  forward(x: Tensor): Tensor {
    const y = this.base.forward(x);
    if (!this.enabled || this.merged) return y;
    return this.scoped(() => {
      const adapterType = this.#a.parameter.dtype;
      const input = this.dropout.forward(ops.cast(ops.reshape(x, [-1, this.inFeatures]), adapterType));
      const down = ops.matmul(input, ops.transpose(this.#a.value));
      const update = ops.mul(ops.matmul(down, ops.transpose(this.#b.value)), this.scale);
      return ops.reshape(ops.cast(ops.add(ops.reshape(y, [-1, this.outFeatures]), update), y.dtype), y.shape);
    });
  }

  /** s·B·A in the orientation of the base weight. */
  delta(): Tensor {
    const product = ops.mul(ops.matmul(this.#b.value, this.#a.value), this.scale);
    return this.fanInFanOut ? ops.transpose(product) : product;
  }

  /** W ← W + s·B·A. Merging twice does nothing. With `safe`, throws before anything is written if a value would not be finite. */
  async merge(options: { safe?: boolean } = {}): Promise<void> {
    if (this.merged) return;
    const { parameter } = this.weight;
    const sum = ops.add(parameter.value, ops.cast(this.delta(), parameter.dtype));
    if (options.safe === true && !(await sum.floats()).every(Number.isFinite)) throw new LowrankError("NumericsError", `merge: ${this.weight.name} would hold values that are not finite; the adapter is damaged`);
    const pristine = await parameter.data();
    parameter.assign(sum);
    await parameter.device.realize();
    this.#pristine = pristine;
  }

  /** Puts the exact original weight back. */
  unmerge(): void {
    if (this.#pristine === undefined) return;
    this.weight.parameter.write(this.#pristine);
    this.#pristine = undefined;
  }
}

/** A module of `modules_to_save`: the original stays frozen, a copy is trained. */
export class SavedCopy extends Projection {
  readonly original: Projection;
  readonly copy: Projection;
  enabled = true;

  constructor(original: Projection, copy: Projection) {
    super();
    this.original = original;
    this.copy = copy;
  }

  get inFeatures(): number { return this.copy.inFeatures; }
  get outFeatures(): number { return this.copy.outFeatures; }
  get weight(): Weight { return this.copy.weight; }
  get bias(): Weight | undefined { return this.copy.bias; }
  get fanInFanOut(): boolean { return this.copy.fanInFanOut; }

  override *namedWeights(prefix = ""): Generator<[string, Weight]> {
    yield* this.original.namedWeights(prefix);
    yield* this.copy.namedWeights(`${prefix}.modules_to_save.default`);
  }

  forward(x: Tensor): Tensor {
    return (this.enabled ? this.copy : this.original).forward(x);
  }
}
