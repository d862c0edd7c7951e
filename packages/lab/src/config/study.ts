/** What a validated study is. The schemas in `schema.ts` produce exactly these types; defaults are filled in there. */

/** How a run trains. Given once for the study; any config may override any of it. */
export interface TrainOptions {
  /** Passes over the training set; 0.5 is half a pass. */
  readonly epochs: number;
  readonly batchSize: number;
  /** Absent: the method's own for the number of steps (`methods/rates.ts`). */
  readonly lr?: number | undefined;
  readonly weightDecay: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly schedule: "linear" | "cosine" | "constant";
  /** Share of all steps during which the learning rate rises from 0. */
  readonly warmup: number;
  /** Limit of the global gradient norm; null for none. */
  readonly clip: number | null;
  /** When the run is evaluated, beside the last step, after which it always is. */
  readonly evalEvery: "epoch" | "end" | number;
  /** Whether it is also evaluated before the first step: what is adapted, as it was. Decides nothing. Absent: not. */
  readonly evalStart?: boolean | undefined;
  /** Ends the run once evaluations get no better. Absent: it goes to the last step. */
  readonly earlyStop?: EarlyStopOptions | undefined;
  /** Weights that the run leaves: those after its last step (the usual), or those of its best evaluation. */
  readonly keep?: "last" | "best" | undefined;
  /** Rows of a batch that are computed at a time, their gradients added up to those of the whole batch. Absent: all. */
  readonly microBatch?: number | undefined;
  /**
   * Whether rows of like length meet: `across` (the usual) makes batches of them; `within-batch` leaves batches as a shuffle deals them and
   * computes their rows in groups of like length; `none` pads each batch to its longest row.
   */
  readonly grouping?: "none" | "within-batch" | "across" | undefined;
  /** The usual is adamw. */
  readonly optimizer?: "adamw" | "sgd" | undefined;
  /** Of sgd. */
  readonly momentum?: number | undefined;
  /** What weight decay is for: `matrices` (the usual) leaves out biases and norms, `all` nothing. */
  readonly decay?: "matrices" | "all" | undefined;
}

export interface EarlyStopOptions {
  /** What is compared: one of the run's metrics, or "loss". Absent: the first metric. */
  readonly metric?: string | undefined;
  /** Evaluations in a row without improvement that end the run. */
  readonly patience: number;
  /** An improvement is larger than this. */
  readonly minDelta: number;
}

export type TrainOverrides = { readonly [K in keyof TrainOptions]?: TrainOptions[K] | undefined };

/**
 * How the frozen base is kept: as its file has it (GGUF blocks, bitsandbytes' codes, halves), at full width, in half precision, or quantized
 * (bitsandbytes' formats, double quantization on).
 */
export type Storage = (typeof STORAGES)[number];

export const STORAGES = ["keep", "f32", "f16", "bf16", "nf4", "fp4", "int8"] as const;

/** What products compute in. `mixed-f16` scales the loss. */
export type Precision = "f32" | "mixed-f16" | "mixed-bf16";

/** Switches that every method has. */
export interface NumericsOptions {
  readonly storage: Storage;
  readonly precision: Precision;
  /** Whether layers are computed again in the backward pass, for less memory. */
  readonly gradientCheckpointing: boolean;
  /** How embedding tables are kept where the rest is quantized. Absent: f16. */
  readonly embeddings?: "f32" | "f16" | "bf16" | undefined;
  /** Dropout of the base itself, in all its places. Absent: the base's own. */
  readonly baseDropout?: number | undefined;
}

/** Rates that are tried by runs of their own, each a run of the store as any other. */
export interface RateSweep {
  /** The one with the least loss at the end is chosen, the smaller one of two equals. */
  readonly rates: readonly number[];
  /** None of the study's: no result is of a run that its rate was chosen by. */
  readonly seed: number;
  /** Keys of the task that are others here, so that what chooses is not what is reported. */
  readonly task: Readonly<Record<string, unknown>>;
}

/** Who decides the learning rate, task by task: a sweep, or that of another config. */
export type RateChoice = { readonly sweep: RateSweep } | { readonly from: string };

/** What runs need of other runs of their task. */
export interface NeedsOptions {
  /** The ranks of modules are those that the run of this config with the same seed ended with. Of methods with `withRanks`. */
  readonly from?: { readonly config: string } | undefined;
  readonly rate?: RateChoice | undefined;
}

/** What a study says of a config; the rest of the keys are the method's own (`methods/`). */
export interface MethodConfig extends NumericsOptions, NeedsOptions {
  readonly method: string;
  readonly train: TrainOverrides;
}

/** Where adapters sit. */
export interface TargetOptions {
  readonly target: string | readonly string[];
  /** Trained in full beside the adapters: PEFT's modules_to_save. */
  readonly modulesToSave: readonly string[];
}

/** Sizes of a base that is made from a seed instead of read from a checkpoint. */
export interface ModelOptions {
  /** `model_type` of the family whose sizes these are. Absent: the first one's that there was. */
  readonly family?: string | undefined;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly intermediate: number;
  readonly dropout: number;
  readonly initializerRange: number;
  readonly seed: number;
}

/** What a study says under `task`; the rest of the keys are the task's own. */
export interface TaskOptions {
  readonly name: string;
}

/**
 * One of the things that a study was made to decide, written before it runs: it says what the results will be asked, and is no part of any run.
 * Exactly one of `greater`, `less`, `equal` and `change` says what is claimed (`config/claims.ts`).
 */
export interface ClaimOptions {
  /** In words; claims that say the same are parts of one. */
  readonly says: string;
  /** The first config's metric is the larger one. */
  readonly greater?: readonly [string, string] | undefined;
  readonly less?: readonly [string, string] | undefined;
  /** Both are the same within `margin`. */
  readonly equal?: readonly [string, string] | undefined;
  /** A measured figure of the first over that of the second, minus 1, is `by` within `margin`. Several configs are their mean. */
  readonly change?: readonly [ClaimedSide, ClaimedSide] | undefined;
  /** Of the task. Absent: its first. */
  readonly metric?: string | undefined;
  /** Of a study with several. */
  readonly task?: string | undefined;
  /** In the metric's units, shares from 0 to 1. Absent: 0.01 of shares. */
  readonly margin?: number | undefined;
  /** Name of a figure of a file of measurements (`store/measured.ts`). */
  readonly measured?: string | undefined;
  readonly by?: number | undefined;
}

export type ClaimedSide = string | readonly string[];

export interface Study {
  readonly name: string;
  /** Of a study with one task; one with several has `tasks`. */
  readonly task?: TaskOptions | undefined;
  /** Tasks by the name that runs, tables and `--tasks` call them by. */
  readonly tasks?: Readonly<Record<string, TaskOptions>> | undefined;
  /** Metrics by name; absent: the task's own. */
  readonly metrics?: readonly string[] | undefined;
  /** A checkpoint as `fromPretrained` takes it: a folder, a file, a URL, a model of the hub. */
  readonly base?: string | undefined;
  /** Of a model of the hub. */
  readonly revision?: string | undefined;
  readonly model?: ModelOptions | undefined;
  readonly seeds: readonly number[];
  readonly train: TrainOverrides;
  readonly configs: Readonly<Record<string, MethodConfig>>;
  /** By name. */
  readonly claims?: Readonly<Record<string, ClaimOptions>> | undefined;
}

/** One cell of a study: everything that decides its numbers, with all defaults filled in. */
export interface ResolvedConfig {
  readonly name: string;
  readonly task: TaskOptions;
  /** What the study calls the task, where it has several. */
  readonly taskLabel?: string;
  readonly base: string | null;
  /** Of a model of the hub, where the study says one. */
  readonly revision?: string;
  readonly model: ModelOptions | null;
  /** Absent: the task's own. */
  readonly metrics?: readonly string[];
  readonly method: MethodConfig;
  readonly train: TrainOptions;
  /** Runs whose results decided part of it, once they have. */
  readonly sources?: readonly { readonly name: string; readonly id: string }[];
}
