/** Models that are a base and a head. */
import type { Module } from "@lowrank/nn";
import { PretrainedModel } from "../pretrained.ts";
import type { ModelConfig } from "./config.ts";
import type { CacheShape } from "./key-value-cache.ts";
import { anyTensor, type InputRules, type TextInputs } from "./inputs.ts";
import type { HiddenOutputs } from "./outputs.ts";

/** A base as its head sees it. */
export type Base<Inputs, Outputs> = Module & {
  readonly extraInputs: InputRules;
  /** Of bases that take a `cache`. */
  readonly cacheShape?: CacheShape | undefined;
  compute(inputs: Inputs): Outputs;
};

/** A base under the name that the family's checkpoints have for it, `bert` or `model`, and what a subclass puts on it. */
export abstract class ModelWithHead<
  Config extends ModelConfig,
  Inputs extends TextInputs,
  Hidden extends HiddenOutputs,
  Outputs,
> extends PretrainedModel<Config, Inputs, Outputs> {
  constructor(config: Config, base: Base<Inputs, Hidden>) {
    super(config);
    // before the fields of subclasses: the order of properties is the order of weights
    Object.assign(this, { [this.#name]: base });
  }

  get #name(): string {
    return this.basePrefix.slice(0, -1);
  }

  get base(): Base<Inputs, Hidden> {
    return (this as unknown as Record<string, Base<Inputs, Hidden>>)[this.#name]!;
  }

  override get basePrefix(): string {
    return this.family.basePrefix;
  }

  /** Those of the base and, beside them, what the loss needs. */
  get extraInputs(): InputRules {
    return { ...this.base.extraInputs, labels: anyTensor };
  }
}
