/** A named tensor of a module. It has a shape from the start and memory only once the model is materialized, so that models of any size can be looked at. */
import {
  bytesOf,
  LowrankError,
  ops,
  structureChanged,
  type Device,
  type DType,
  type Parameter,
  type StoredTensor,
  type Tensor,
} from "@lowrank/tensor";

/** How fresh values are drawn. Every distribution names what it takes. */
export type Init =
  | { readonly kind: "zeros" }
  | { readonly kind: "ones" }
  | { readonly kind: "normal"; readonly std: number }
  /** U(−bound, bound). */
  | { readonly kind: "uniform"; readonly bound: number };

/** A weight kept otherwise than as one parameter of plain numbers: quantized. Such a weight does not train. */
export interface WeightForm {
  /** What to call it in reports: "nf4", "int8". */
  readonly kind: string;
  /** Bytes it takes on the device, tables included. */
  readonly bytes: number;
  /** Makes the same form of other numbers of the same shape; absent where a form is only read. */
  readonly format?: WeightFormat | undefined;
  /** The whole value, to be computed by whoever reads it. */
  value(): Tensor;
  dispose(): void;
}

/** A way of keeping weights: makes the form of one from its numbers, which are not needed afterwards. */
export interface WeightFormat {
  readonly kind: string;
  keep(device: Device, name: string, shape: readonly number[], values: Float32Array): WeightForm;
}

/** What a weight is to its module, where that is told apart: part of a norm, a bias, or undefined for all others. */
export type WeightKind = "norm" | "bias" | undefined;

export class Weight {
  readonly shape: readonly number[];
  readonly init: Init;
  #trainable = true;
  #computesIn: DType | undefined;
  #parameter: Parameter | undefined;
  #form: WeightForm | undefined;
  /** Where it stands in the model, once the model knows. */
  name = "";
  /** Set by the module that holds it whenever the tree is walked. */
  kind: WeightKind;

  constructor(shape: readonly number[], init: Init) {
    this.shape = shape;
    this.init = init;
  }

  /** Whether training changes it. */
  get trainable(): boolean {
    return this.#trainable;
  }

  set trainable(on: boolean) {
    if (on !== this.#trainable) structureChanged();
    this.#trainable = on;
  }

  /** dtype a forward pass computes in, where storage is narrower; products widen such a weight while they pack it. */
  get computesIn(): DType | undefined {
    return this.#computesIn;
  }

  set computesIn(dtype: DType | undefined) {
    if (dtype !== this.#computesIn) structureChanged();
    this.#computesIn = dtype;
  }

  get size(): number {
    return this.shape.reduce((a, b) => a * b, 1);
  }
  get materialized(): boolean {
    return this.#parameter !== undefined || this.#form !== undefined;
  }

  /** Set where the weight is quantized. */
  get form(): WeightForm | undefined {
    return this.#form;
  }

  set form(form: WeightForm) {
    this.#parameter?.dispose();
    this.#parameter = undefined;
    this.#form = form;
    this.trainable = false;
    structureChanged();
  }

  /** Device storage. Throws while the model is only a shape, and where the weight is quantized. */
  get parameter(): Parameter {
    if (this.#form !== undefined)
      throw new LowrankError(
        "QuantizedError",
        `${this.name || "a weight"} is kept as ${this.#form.kind}: it can be read as a value but neither trained nor written; load the model without quantization for that`,
      );
    if (this.#parameter === undefined)
      throw new LowrankError(
        "MetaError",
        `${this.name || "a weight"} [${this.shape.join(", ")}] has no values yet; call model.materialize({ device })`,
      );
    return this.#parameter;
  }

  set parameter(parameter: Parameter) {
    this.#form?.dispose();
    this.#form = undefined;
    this.#parameter = parameter;
    structureChanged();
  }

  /** Bytes on the device. */
  get bytes(): number {
    return this.#form?.bytes ?? this.size * bytesOf(this.parameter.dtype);
  }

  /** The numbers, on the host; a quantized weight's are what it stands for. */
  async read(): Promise<StoredTensor> {
    if (this.#form !== undefined) {
      const value = this.#form.value();
      return { dtype: value.dtype, shape: this.shape, data: await value.data() };
    }
    return { dtype: this.parameter.dtype, shape: this.shape, data: await this.parameter.data() };
  }

  /** The value as a tensor for a forward pass. */
  get value(): Tensor {
    if (this.#form !== undefined) return this.#form.value();
    const { value } = this.parameter;
    return this.computesIn === undefined ? value : ops.cast(value, this.computesIn);
  }

  /** Gives what it has on the device to a weight of the same shape, and has nothing afterwards. */
  passTo(other: Weight): void {
    if (this.#form !== undefined) other.form = this.#form;
    else if (this.#parameter !== undefined) other.parameter = this.#parameter;
    this.#parameter = undefined;
    this.#form = undefined;
    structureChanged();
  }

  dispose(): void {
    this.#parameter?.dispose();
    this.#form?.dispose();
    this.#parameter = undefined;
    this.#form = undefined;
    structureChanged();
  }
}
