/** A model of a family: its configuration, the names of its checkpoint, and the checks that each call begins with. */
import { Module, type FamilyFacts } from "@lowrank/nn";
import { checkOptions, type Rule } from "@lowrank/tensor/check";
import type { ConfigSource } from "./shared/config-table.ts";
import { requireBuilt, type ConfigOverrides, type ModelConfig } from "./shared/config.ts";
import { inputsRule, type InputRules, type ModelInputs } from "./shared/inputs.ts";
import type { ModelOutputs } from "./shared/outputs.ts";

/** Sizes of a model that is drawn and not loaded, in words that all families share. */
export interface DrawnSizes {
  readonly vocab: number;
  /** The longest sequence. */
  readonly positions: number;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly intermediate: number;
  /** Of every dropout that the family has. */
  readonly dropout: number;
  readonly initializerRange: number;
}

/** What is true of all models of a family, and how its `config.json` is read and written. */
export interface ModelFamily<Config = ModelConfig> extends FamilyFacts {
  /** What a model with a head puts before the names of its base, such as `bert.`; a checkpoint of the bare base leaves it out. */
  readonly basePrefix: string;
  /** Keys of the file that decide sizes; all of them must stand in a file that names neither its family nor its class. */
  readonly sizeKeys: readonly (readonly string[])[];
  /** Keys of the file whose numbers are floats: 1.0 for 1. */
  readonly floatKeys: readonly string[];
  parse(source: ConfigSource, overrides?: ConfigOverrides): Config;
  /** The config as a file for one architecture. */
  file(config: Config, architecture: string): Record<string, unknown>;
  /** The keys of `config.json` that say these sizes. Absent: models of the family are loaded and not drawn. */
  sized?(sizes: DrawnSizes): ConfigSource;
}

/** A class of models as its constructor: what `fromPretrained` takes. */
export interface ModelClass<M extends PretrainedModel = PretrainedModel> {
  /** The class's name at transformers. */
  readonly architecture: string;
  readonly family: ModelFamily;
  /** Takes the config of its own family. */
  new (config: never): M;
}

/**
 * A subclass names its static `architecture` and `family`, says which inputs it has, and computes. Where its class is not known, a model
 * takes and gives what any of them may.
 */
export abstract class PretrainedModel<
  Config extends ModelConfig = ModelConfig,
  Inputs extends object = ModelInputs,
  Outputs = ModelOutputs,
> extends Module {
  readonly config: Config;
  #rule: Rule<Inputs> | undefined;

  constructor(config: Config) {
    super();
    this.config = config;
  }

  get #class(): { readonly architecture: string; readonly family: ModelFamily<Config> } {
    return this.constructor as never;
  }

  get architecture(): string {
    return this.#class.architecture;
  }

  override get family(): ModelFamily<Config> {
    return this.#class.family;
  }

  /** `bert.`: what a checkpoint of the bare base model leaves out of its names; empty for the bare base itself. */
  get basePrefix(): string {
    return "";
  }

  /** Inputs beside `inputIds` and `attentionMask`, with their rules. */
  abstract get extraInputs(): InputRules;

  /** Weights that a file may hold under a second name, or under that one alone, by name. */
  get tied(): ReadonlyMap<string, string> {
    return new Map();
  }

  /**
   * What every call of every model begins with, and then `compute`.
   * @throws LowrankError naming the input that is unknown or missing, or the key of config.json whose function is not built
   */
  forward(inputs: Inputs): Outputs {
    requireBuilt(this.config);
    this.#rule ??= inputsRule<Inputs>(this.extraInputs);
    const checked = checkOptions(`${this.architecture}.forward`, this.#rule, inputs);
    this.rngs?.restart();
    return this.compute(checked);
  }

  /** What `forward` computes, without the checks and with dropout's sites numbered on: for models that are made of this one. */
  abstract compute(inputs: Inputs): Outputs;
}
