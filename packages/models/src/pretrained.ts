/** A model of a family: its configuration, the names of its checkpoint, and the checks that each call begins with. */
import { Module, type FamilyFacts } from "@lowrank/nn";
import { checkOptions, type Rule } from "@lowrank/tensor/check";
import type { ConfigSource } from "./shared/config-table.ts";
import { requireBuilt, type ConfigOverrides, type ModelConfig } from "./shared/config.ts";

/** What is true of all models of a family, and how its `config.json` is read and written. */
export interface ModelFamily<Config> extends FamilyFacts {
  /** What a model with a head puts before the names of its base, such as `bert.`; a checkpoint of the bare base leaves it out. */
  readonly basePrefix: string;
  /** Keys of the file that decide sizes; all of them must stand in a file that names neither its family nor its class. */
  readonly sizeKeys: readonly (readonly string[])[];
  parse(source: ConfigSource, overrides?: ConfigOverrides): Config;
  /** The config as a file for one architecture. */
  file(config: Config, architecture: string): Record<string, unknown>;
}

export abstract class PretrainedModel<
  Config extends ModelConfig = ModelConfig,
  Inputs extends object = never,
  Outputs = unknown,
> extends Module {
  readonly config: Config;

  constructor(config: Config) {
    super();
    this.config = config;
  }

  /** The family's record, which every class of it names as its static `family`. */
  override get family(): ModelFamily<Config> {
    return (this.constructor as unknown as { readonly family: ModelFamily<Config> }).family;
  }

  /** `bert.`: what a checkpoint of the bare base model leaves out of its names; empty for the bare base itself. */
  abstract readonly basePrefix: string;

  /** Which inputs there are. */
  abstract get inputsRule(): Rule<Inputs>;

  /** Weights that a file may hold under a second name, or under that one alone, by name. */
  get tied(): ReadonlyMap<string, string> {
    return new Map();
  }

  /**
   * @throws LowrankError naming the input that is unknown or missing, or the key of config.json whose function is not built
   */
  forward(inputs: Inputs): Outputs {
    requireBuilt(this.config);
    const { architecture } = this.constructor as unknown as { readonly architecture: string };
    const checked = checkOptions(`${architecture}.forward`, this.inputsRule, inputs);
    this.rngs?.restart();
    return this.compute(checked);
  }

  /** What `forward` computes, without the checks and with dropout's keys where they are: for models that are made of this one. */
  abstract compute(inputs: Inputs): Outputs;
}
