/** A named tensor of a module. It has a shape from the start and memory only once the model is materialised, so that models of any size can be looked at. */
import { LowrankError, ops, type DType, type Parameter, type Tensor } from "@lowrank/tensor";

/** How fresh values are drawn. Every distribution names what it takes. */
export type Init =
  | { readonly kind: "zeros" }
  | { readonly kind: "ones" }
  | { readonly kind: "normal"; readonly std: number }
  /** U(−bound, bound). */
  | { readonly kind: "uniform"; readonly bound: number };

export class Weight {
  readonly shape: readonly number[];
  readonly init: Init;
  /** Whether training changes it. */
  trainable = true;
  /** dtype a forward pass computes in, where storage is narrower; products widen such a weight while they pack it. */
  computesIn: DType | undefined;
  #parameter: Parameter | undefined;
  /** Where it stands in the model, once the model knows. */
  name = "";

  constructor(shape: readonly number[], init: Init) {
    this.shape = shape;
    this.init = init;
  }

  get size(): number { return this.shape.reduce((a, b) => a * b, 1); }
  get materialized(): boolean { return this.#parameter !== undefined; }

  /** Device storage. Throws while the model is only a shape. */
  get parameter(): Parameter {
    if (this.#parameter === undefined) throw new LowrankError("MetaError", `${this.name || "a weight"} [${this.shape.join(", ")}] has no values yet; call model.materialize({ device })`);
    return this.#parameter;
  }

  set parameter(parameter: Parameter) {
    this.#parameter = parameter;
  }

  /** The value as a tensor for a forward pass. */
  get value(): Tensor {
    const { value } = this.parameter;
    return this.computesIn === undefined ? value : ops.cast(value, this.computesIn);
  }

  dispose(): void {
    this.#parameter?.dispose();
    this.#parameter = undefined;
  }
}
