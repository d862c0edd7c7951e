/** The layers transformers are made of. Weight layouts and defaults are torch's. */
import {
  LowrankError,
  ops,
  quote,
  structureChanged,
  type CrossEntropyOptions,
  type DropoutLayout,
  type Tensor,
} from "@lowrank/tensor";
import { suggestion } from "@lowrank/tensor/check";
import { anything, checkOptions, fields, flag, optional, probability } from "@lowrank/tensor/check";
import { linearCrossEntropy } from "./losses.ts";
import { Module } from "./module.ts";
import { Weight, type Init, type WeightKind } from "./weight.ts";

const NORMAL: Init = { kind: "normal", std: 0.02 };

/** What adapters can wrap: a product with a weight, seen as [out, in] whatever the storage. */
export abstract class Projection extends Module {
  abstract readonly inFeatures: number;
  abstract readonly outFeatures: number;
  abstract readonly weight: Weight;
  abstract readonly bias: Weight | undefined;
  /** True where the weight is stored [in, out]. */
  abstract readonly fanInFanOut: boolean;
  abstract forward(x: Tensor): Tensor;

  /**
   * Cross-entropy of what `forward` makes of x [n, in] with labels [n]. A projection that is no more than a product stores no outputs where
   * they are many: see `ops.linearCrossEntropy`.
   */
  crossEntropy(x: Tensor, labels: Tensor, options?: CrossEntropyOptions): Tensor {
    return ops.crossEntropy(this.forward(x), labels, options);
  }
}

const LINEAR = fields<{ bias?: boolean; init?: Init }>({ bias: optional(flag), init: optional(anything<Init>()) });

/** x […, in] → […, out]; weight [out, in]. */
export class Linear extends Projection {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly weight: Weight;
  readonly bias: Weight | undefined;
  readonly fanInFanOut = false;

  constructor(inFeatures: number, outFeatures: number, options: { bias?: boolean; init?: Init } = {}) {
    super();
    checkOptions("Linear", LINEAR, options);
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
    this.weight = new Weight([outFeatures, inFeatures], options.init ?? NORMAL);
    this.bias = options.bias === false ? undefined : new Weight([outFeatures], { kind: "zeros" });
  }

  forward(x: Tensor): Tensor {
    return this.scoped(() => ops.linear(x, this.weight.value, this.bias?.value));
  }

  override crossEntropy(x: Tensor, labels: Tensor, options?: CrossEntropyOptions): Tensor {
    return this.scoped(() => linearCrossEntropy(this, x, labels, options));
  }
}

/** GPT-2's projection: x […, in] → […, out]; weight [in, out]. */
export class Conv1D extends Projection {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly weight: Weight;
  readonly bias: Weight;
  readonly fanInFanOut = true;

  constructor(inFeatures: number, outFeatures: number, init: Init = NORMAL) {
    super();
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
    this.weight = new Weight([inFeatures, outFeatures], init);
    this.bias = new Weight([outFeatures], { kind: "zeros" });
  }

  forward(x: Tensor): Tensor {
    return this.scoped(() => {
      const product = ops.matmul(ops.reshape(x, [-1, this.inFeatures]), this.weight.value);
      // a bias belongs to the product, and is as wide
      const flat = ops.add(product, ops.cast(this.bias.value, product.dtype));
      return ops.reshape(flat, [...x.shape.slice(0, -1), this.outFeatures]);
    });
  }
}

/** ids […] → […, dim]; weight [count, dim]. */
export class Embedding extends Module {
  readonly weight: Weight;
  /** Look-ups of this id give no gradient. */
  readonly paddingIndex: number | undefined;

  constructor(count: number, dim: number, init: Init = NORMAL, paddingIndex?: number) {
    super();
    this.weight = new Weight([count, dim], init);
    this.paddingIndex = paddingIndex;
  }

  forward(ids: Tensor): Tensor {
    return this.scoped(() => ops.embedding(this.weight.value, ids, this.paddingIndex));
  }
}

/** Scales what it is given to one size. Its weights are left out of weight decay. */
export abstract class Norm extends Module {
  abstract readonly weight: Weight;
  abstract readonly eps: number;
  protected override get weightKind(): WeightKind {
    return "norm";
  }
  abstract forward(x: Tensor): Tensor;
}

export class LayerNorm extends Norm {
  readonly weight: Weight;
  readonly bias: Weight;
  readonly eps: number;

  constructor(size: number, eps = 1e-5) {
    super();
    this.weight = new Weight([size], { kind: "ones" });
    this.bias = new Weight([size], { kind: "zeros" });
    this.eps = eps;
  }

  forward(x: Tensor): Tensor {
    return this.scoped(() => ops.layerNorm(x, this.weight.value, this.bias.value, this.eps));
  }
}

/** x / √(mean x² + eps) · (weight + offset). */
export class RMSNorm extends Norm {
  readonly weight: Weight;
  readonly eps: number;
  /** 1 in Gemma, whose weights then begin at 0 and say how far a scale is from 1. */
  readonly offset: number;

  constructor(size: number, eps = 1e-6, offset = 0) {
    super();
    this.weight = new Weight([size], { kind: offset === 0 ? "ones" : "zeros" });
    this.eps = eps;
    this.offset = offset;
  }

  forward(x: Tensor): Tensor {
    return this.scoped(() => {
      const { value } = this.weight;
      return ops.rmsNorm(x, this.offset === 0 ? value : ops.add(value, this.offset), this.eps);
    });
  }
}

/** Zeroes elements while training; the identity otherwise. */
export class Dropout extends Module {
  #p: number;

  constructor(p: number) {
    super();
    this.#p = p;
  }

  /** Chance of each element, in [0, 1). */
  get p(): number {
    return this.#p;
  }

  set p(p: number) {
    checkOptions("dropout", probability, p);
    if (p !== this.#p) structureChanged();
    this.#p = p;
  }

  get active(): boolean {
    return this.training && this.p > 0;
  }

  /** The arguments of `ops.dropout` for the next site, or undefined when nothing is to be dropped. */
  draw(): { p: number; key: ReturnType<NonNullable<Module["rngs"]>["next"]> } | undefined {
    if (!this.active) return undefined;
    if (this.rngs === undefined)
      throw new LowrankError(
        "RandomError",
        "dropout is on but has no random keys; call model.train(new Rngs(device, seed))",
      );
    return { p: this.p, key: this.rngs.next() };
  }

  /** @param layout what counts examples and places in them; default: the first dimension examples, the others places */
  forward(x: Tensor, layout?: DropoutLayout): Tensor {
    const drawn = this.draw();
    return drawn === undefined ? x : this.scoped(() => ops.dropout(x, drawn.p, drawn.key, layout));
  }
}

const ACTIVATIONS: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  gelu: (x) => ops.gelu(x, "none"),
  gelu_new: (x) => ops.gelu(x, "tanh"),
  gelu_pytorch_tanh: (x) => ops.gelu(x, "tanh"),
  relu: (x) => ops.relu(x),
  silu: (x) => ops.silu(x),
  swish: (x) => ops.silu(x),
  tanh: (x) => ops.tanh(x),
};
/** Hugging Face's names of the activations that are built. */
export const activationNames: readonly string[] = Object.keys(ACTIVATIONS);

/** Activation by its Hugging Face name. `gelu` is the exact one, `gelu_new` the tanh approximation: they are different functions. */
export function activation(name: string): (x: Tensor) => Tensor {
  if (!Object.hasOwn(ACTIVATIONS, name))
    throw new LowrankError("ConfigError", `unknown activation ${quote(name)}${suggestion(name, activationNames)}`);
  return ACTIVATIONS[name]!;
}
