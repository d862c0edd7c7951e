/**
 * What an adapter method is: a record. Everything else in this package (which modules are meant, several adapters, copies of modules, files,
 * merging) knows methods only as this interface, so that a new one is one file and a line in `registry.ts`.
 */
import type { AdapterTargets, Module } from "@lowrank/nn";
import type { DType, Device } from "@lowrank/tensor";
import type { Rules } from "@lowrank/tensor/check";
import type { Update } from "../layers/update.ts";
import type { Layer, Target } from "../layers/walk.ts";
import type { Unmatched } from "../names.ts";

export const TASK_TYPES = [
  "SEQ_CLS",
  "TOKEN_CLS",
  "CAUSAL_LM",
  "QUESTION_ANS",
  "FEATURE_EXTRACTION",
  "SEQ_2_SEQ_LM",
] as const;
export type TaskType = (typeof TASK_TYPES)[number];

/** Tokens of the input embedding, or by the ends of modules' paths. */
export type TokenIndices = readonly number[] | Readonly<Record<string, readonly number[]>>;

/** What configurations of all methods share. A method that has no option for one of these leaves it at its default. */
export interface AdapterConfig {
  readonly method: Method;
  /**
   * Module name suffixes, or a regular expression for the whole path (Python's syntax, without look-around and back-references), or
   * "all-linear". Default: what PEFT takes for the architecture.
   */
  readonly targetModules: readonly string[] | string | undefined;
  readonly excludeModules: readonly string[] | string | undefined;
  /**
   * Modules trained whole, on a copy: every one whose path ends in such a name, at a dot or not, as in PEFT. On a model the task's head is
   * added: what its family says; without a family `classifier` and `score` for SEQ_CLS and TOKEN_CLS, `qa_outputs` for QUESTION_ANS.
   */
  readonly modulesToSave: readonly string[];
  /**
   * Tokens whose rows are trained while the rest of their table stays, as PEFT's `trainable_token_indices`; output layers that are tied to the table
   * follow. Of LoRA and what comes from it.
   */
  readonly trainableTokenIndices: TokenIndices | undefined;
  /** Numbers of the layers that are adapted; an empty list is no restriction. */
  readonly layersToTransform: readonly number[] | undefined;
  /** Names under which layers are numbered; an empty list is no restriction. */
  readonly layersPattern: readonly string[] | undefined;
  /** Which biases of the base train as well: none, all, or in PEFT's words those of the adapted layers ("lora_only", "vera_only"). Default "none". */
  readonly bias: "none" | "all" | `${string}_only`;
  readonly taskType: TaskType | undefined;
  /**
   * What to do about a name, a pattern or a layer that matches no module. PEFT says nothing. `warn` lists it in the adapter's `warnings`,
   * as long as something else matches; configurations from files have that. Default "error".
   */
  readonly onUnmatchedPattern: "error" | "warn";
  /** The file as it was read. */
  readonly source: Readonly<Record<string, unknown>>;
}

/** Options out of which a method makes its configuration. `method` may be a name. */
export type OptionsOf<C extends AdapterConfig> = Partial<Omit<C, "method">> & { readonly method?: Method | string };

/** One line of the resolved table. */
export interface TargetRow {
  readonly module: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** Trained values. */
  readonly parameters: number;
  /** Where the update is a product of low rank. */
  readonly rank?: number;
  readonly alpha?: number;
  readonly scale?: number;
  /** Where the update scales what goes in or what comes out, not what is added. */
  readonly scales?: "input" | "output";
}

/** What a method reads, writes and refuses of an `adapter_config.json`. Keys that are in none of the three survive a round trip and are warned of. */
export interface FileKeys<F extends object> {
  /** PEFT's class, for messages. */
  readonly className: string;
  /** Keys that are read. */
  readonly rules: Rules<F>;
  /** Switches that would change the function, and when they do; saying nothing about them would be worse than refusing. */
  readonly notBuilt: readonly (readonly [string, (value: unknown) => boolean])[];
  /** Further fields of PEFT's class, which change nothing by themselves. */
  readonly harmless: readonly string[];
  /** Words from elsewhere that no edit distance finds, and the key that is meant. */
  readonly meant?: Readonly<Record<string, string>>;
}

/** A module that an adapter takes. */
export interface ChosenTarget {
  readonly path: string;
  readonly target: Target;
  readonly inFeatures: number;
  readonly outFeatures: number;
}

/** What a start that looks at the base may use. */
export interface StartContext<C extends AdapterConfig> {
  readonly model: Module;
  readonly config: C;
  readonly path: string;
  readonly layer: Layer;
  readonly update: Update;
  readonly seed: number;
  readonly device: Device;
  readonly dtype: DType;
  /** The model at full width, of which `model` holds fewer bits. */
  readonly original?: Module | undefined;
}

/** Frobenius norms: of a weight, of what quantization loses of it, and of what is still lost beside the adapter's start. */
export interface StartError {
  readonly weight: number;
  readonly before: number;
  readonly after: number;
}

/** What a start did to the base. */
export interface Started {
  /** Gives the base back what it lost. */
  restore(): Promise<void>;
  /** Of a start that makes up for quantization. */
  readonly error?: StartError;
}

/** One adapted module of an adapter that is saved. */
export interface SavedRow {
  readonly row: TargetRow;
  readonly update: Update;
}

// methods and not properties below, so that a record of one configuration is a record of any (bivariance)
export interface Method<C extends AdapterConfig = AdapterConfig> {
  /** Word in options: "lora". */
  readonly name: string;
  /** Word in messages: "LoRA". */
  readonly label: string;
  /** `peft_type` in files. */
  readonly peftType: string;
  /** Of files with this `peft_type`, which are this method's. Absent: all that no other claims. */
  claims?(source: Readonly<Record<string, unknown>>): boolean;
  /** Options that ask for this method without naming it. */
  meantBy?(options: Readonly<Record<string, unknown>>): boolean;
  readonly file: FileKeys<object>;
  /** Parts of tensor names in files that are this method's: without a place in the model the file is another's. */
  readonly tensors: RegExp;
  /** The family's list of modules that are taken where nothing is said. */
  readonly targets: keyof AdapterTargets;
  /** The same for models of no family: the first of these lists that names something. */
  readonly usualNames?: readonly (readonly string[])[];
  /** Whether a table for a larger vocabulary may be cut to the model's: not where the method computes with all of its rows. */
  readonly cutsVocabulary: boolean;

  /** Options, checked and filled in. @throws LowrankError (ConfigError) naming the option */
  defaults(options: OptionsOf<C>): C;
  /** The configuration of a file whose keys have been checked. `file` holds the keys of `file.rules` that are there. */
  parse(file: object, common: FileCommon): C;
  /** The method's keys of a file, beside those that all share. */
  write(config: C): Readonly<Record<string, unknown>>;
  /** One row for each module. Names of the configuration that match nothing are told to `unmatched`. */
  resolve(chosen: readonly ChosenTarget[], config: C, unmatched: Unmatched): TargetRow[];
  /** What makes an adapter's updates, row by row. */
  make(config: C, rows: readonly TargetRow[]): (row: TargetRow, layer: Layer) => Update;
  /** @throws LowrankError naming a module whose base `start` cannot take anything from; asked of all modules before the first starts */
  checkStart?(context: StartContext<C>): void;
  /** Values that depend on the base, once both have memory. Undefined where the base stays as it is. */
  start?(context: StartContext<C>): Promise<Started | undefined>;

  /** The configuration with what the model says where nothing was said. Names that match nothing are told to `unmatched`. */
  completed?(config: C, model: Module, chosen: readonly ChosenTarget[], unmatched: Unmatched): C;
  /** What is said and has no meaning. */
  idle?(config: C): string[];
  /** The scale of an update at `strength`; a method without has no scale to change. */
  scaled?(config: C, row: TargetRow, strength: number): number;
  /** The configuration under which a file says the scales that the updates have. @throws LowrankError where none does */
  saved?(config: C, rows: readonly SavedRow[], strength: number): C;
  /**
   * The configuration of the same adapter on a base from which no start took anything: ranks twice as large, scales the same. Undefined where
   * the start is not of that kind.
   * @param saved gives a configuration under which a file says the scales that the updates have
   */
  beside?(config: C, saved: (config: C) => C): C | undefined;
  /** The configuration of an adapter that has kept these ranks, by module path. */
  keeping?(config: C, masks: ReadonlyMap<string, readonly boolean[]>): C;
}

/** What every method's file may hold, read the same way for all. */
export type FileCommon = Pick<
  AdapterConfig,
  "targetModules" | "modulesToSave" | "taskType" | "source" | "onUnmatchedPattern"
>;
