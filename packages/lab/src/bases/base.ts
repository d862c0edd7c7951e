/** The model that a run adapts, on its device. */
import type { LoadOptions, LoadReport, ModelInputs, ModelOutputs, PretrainedModel } from "@lowrank/models";
import type { Projection, Weight } from "@lowrank/nn";
import { InvariantError, ops, withPrecision, type Device, type PrecisionPolicy, type Tensor } from "@lowrank/tensor";
import type { ModelKind } from "./kind.ts";

/** How a base's weights are kept. */
export interface BaseStorage {
  /** Weights that are kept otherwise than the rest, asked with the model. */
  readonly each?: NonNullable<LoadOptions["storage"]>;
  /** What is not said of each: at full width, or as the file has it. Default "full". */
  readonly rest?: "full" | "file";
}

export interface NamedWeight {
  readonly name: string;
  readonly weight: Weight;
}

export class Base {
  readonly model: PretrainedModel;
  readonly kind: ModelKind;
  readonly device: Device;
  /** What products compute in; undefined: the device's float. */
  precision: PrecisionPolicy | undefined;

  /** Weights that the checkpoint did not hold; empty for a base that is drawn whole. */
  readonly fresh: readonly string[];
  /** Forms of the file that weights were left in, by name: "nf4", "Q4_K". */
  readonly forms: ReadonlyMap<string, string>;

  constructor(
    model: PretrainedModel,
    kind: ModelKind,
    device: Device,
    { fresh, forms }: Pick<LoadReport, "fresh" | "forms"> = { fresh: [], forms: new Map() },
  ) {
    this.model = model;
    this.kind = kind;
    this.device = device;
    this.fresh = fresh;
    this.forms = forms;
  }

  /** What the model gives, computed at the run's precision. */
  forward(inputs: ModelInputs): ModelOutputs {
    return withPrecision(this.precision, () => this.model.forward(inputs));
  }

  /** Logits in the device's float. */
  logits(inputs: ModelInputs): Tensor {
    const { logits } = this.forward(inputs);
    if (logits === undefined) throw new InvariantError(`${this.model.architecture} gives no logits`);
    return ops.cast(logits, this.device.defaultFloat);
  }

  /** Modules of the head that the task trains. */
  get head(): readonly string[] {
    return headOf(this.model, this.kind);
  }

  /** Every linear module with its path. */
  linears(): { path: string; weight: Weight }[] {
    return [...this.model.namedModules()].flatMap(([path, module]) =>
      "inFeatures" in module ? [{ path, weight: (module as Projection).weight }] : [],
    );
  }

  /** Every weight with its name. */
  weights(): NamedWeight[] {
    return [...this.model.namedWeights()].map(([name, weight]) => ({ name, weight }));
  }

  /** Gives the head fresh values that depend on `seed` only. */
  async freshHead(seed: number): Promise<void> {
    const head = this.weights().filter(({ name }) => this.head.some((module) => name.startsWith(`${module}.`)));
    for (const { weight } of head) weight.dispose();
    await this.model.materialize({ device: this.device, seed });
  }

  /** Replaces a weight's values. */
  write(weight: Weight, values: Float32Array): void {
    weight.parameter.write(weight.parameter.dtype === "f64" ? Float64Array.from(values) : values);
  }

  dispose(): void {
    this.model.dispose();
  }
}

export function headOf({ family }: Pick<PretrainedModel, "family">, kind: ModelKind): readonly string[] {
  return family.heads[kind] ?? [];
}
