/** What a validated study is. The schemas in `schema.ts` produce exactly these types; defaults are filled in there. */

/** How a run trains. Given once for the study; any config may override any of it. */
export interface TrainOptions {
  /** Passes over the training set; 0.5 is half a pass. */
  readonly epochs: number;
  readonly batchSize: number;
  readonly lr: number;
  readonly weightDecay: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly schedule: "linear" | "cosine" | "constant";
  /** Share of all steps during which the learning rate rises from 0. */
  readonly warmup: number;
  /** Limit of the global gradient norm; null for none. */
  readonly clip: number | null;
  readonly evalEvery: "epoch" | number;
}

export type TrainOverrides = { readonly [K in keyof TrainOptions]?: TrainOptions[K] | undefined };

/** How the frozen base is kept: at full width, in half precision, or quantized (bitsandbytes' formats, double quantization on). */
export type Storage = "f32" | "f16" | "bf16" | "nf4" | "fp4" | "int8";

/** What products compute in. `mixed-f16` scales the loss. */
export type Precision = "f32" | "mixed-f16" | "mixed-bf16";

/** Switches that every method has. */
export interface NumericsOptions {
  readonly storage: Storage;
  readonly precision: Precision;
  /** Whether layers are computed again in the backward pass, for less memory. */
  readonly gradientCheckpointing: boolean;
}

/** Everything frozen but the named modules. */
export interface HeadMethod extends NumericsOptions {
  readonly method: "head";
  /** Module names or suffixes, as PEFT's modules_to_save; by default the classifier alone. */
  readonly modules: readonly string[];
  readonly train: TrainOverrides;
}

/** Low-rank adapters on the modules named by `target`; names and meaning as in PEFT's LoraConfig. */
export interface LoraMethod extends NumericsOptions, TargetOptions {
  readonly method: "lora";
  readonly alpha: number;
  readonly dropout: number;
  readonly exclude?: string | readonly string[] | undefined;
  readonly r: number;
  /** Magnitude and direction apart (DoRA). */
  readonly dora: boolean;
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  readonly rsLora: boolean;
  readonly train: TrainOverrides;
}

/** Where adapters sit. */
export interface TargetOptions {
  readonly target: string | readonly string[];
  /** Trained in full beside the adapters: PEFT's modules_to_save. */
  readonly modulesToSave: readonly string[];
}

/** Ranks that are decided while training (Zhang et al. 2023). Steps may be fractions of the training. */
export interface AdaLoraMethod extends NumericsOptions, TargetOptions {
  readonly method: "adalora";
  readonly alpha: number;
  readonly dropout: number;
  readonly exclude?: string | readonly string[] | undefined;
  readonly initR: number;
  readonly targetR: number;
  readonly tinit: number;
  readonly tfinal: number;
  readonly deltaT: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly orthRegWeight: number;
  readonly compat: "strict" | "peft";
  /** What ranks are decided by: AdaLoRA's sensitivity (true), or the size of each contribution. False: modules keep their initial ranks, as a control. */
  readonly allocator: boolean | "sensitivity" | "magnitude";
  readonly train: TrainOverrides;
}

/** Vectors that scale what modules give, or in feed-forward modules what they get (Liu et al. 2022); names and meaning as in PEFT's IA3Config. */
export interface Ia3Method extends NumericsOptions, TargetOptions {
  readonly method: "ia3";
  readonly exclude?: string | readonly string[] | undefined;
  /** Of the targets those whose input is scaled. Left out: what PEFT takes for the architecture. */
  readonly feedforward?: string | readonly string[] | undefined;
  readonly train: TrainOverrides;
}

/** One random pair of projections for all modules, two trained vectors for each (Kopiczko et al. 2024); names and meaning as in PEFT's VeraConfig. */
export interface VeraMethod extends NumericsOptions, TargetOptions {
  readonly method: "vera";
  readonly r: number;
  readonly dropout: number;
  readonly dInitial: number;
  /** What the projections are drawn from, whatever the run's seed. */
  readonly projectionPrngKey: number;
  readonly saveProjection: boolean;
  readonly train: TrainOverrides;
}

/** Every parameter trained. */
export interface FullMethod extends NumericsOptions {
  readonly method: "full";
  readonly train: TrainOverrides;
}

/** Methods whose result is an adapter beside its base. */
export type AdapterMethod = LoraMethod | AdaLoraMethod | Ia3Method | VeraMethod;

export type MethodConfig = HeadMethod | AdapterMethod | FullMethod;

const ADAPTER_METHODS: readonly string[] = ["lora", "adalora", "ia3", "vera"] satisfies AdapterMethod["method"][];

/** Whether runs of a method leave an adapter, and not a checkpoint. */
export function leavesAdapter(method: string): boolean {
  return ADAPTER_METHODS.includes(method);
}

/** BERT sizes of a base that is made from a seed instead of read from a checkpoint. */
export interface ModelOptions {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly intermediate: number;
  readonly dropout: number;
  readonly initializerRange: number;
  readonly seed: number;
}

export interface Sst2Task {
  readonly name: "sst2";
  /** Longest sequence, special tokens included. */
  readonly maxLength: number;
  readonly trainLimit?: number | undefined;
  readonly devLimit?: number | undefined;
}

/** Labels from a teacher that is the base plus updates of known rank. */
export interface PlantedRankTask {
  readonly name: "planted-rank";
  readonly seed: number;
  readonly vocab: number;
  readonly length: number;
  readonly train: number;
  readonly dev: number;
  /** Module suffix → rank of the planted update. */
  readonly ranks: Readonly<Record<string, number>>;
  /** Number of labels; more labels tell more about the teacher. */
  readonly labels: number;
  /** Frobenius norm of what is planted, relative to the base weight. */
  readonly strength: number;
  /** Whether `strength` is that of a module's whole update, whatever its rank, or of each of its directions: then ‖ΔW‖_F grows as √rank. */
  readonly strengthOf: "update" | "direction";
  /** Head that a run starts from: drawn from the run's seed, or the base's, which is the teacher's. */
  readonly head: "fresh" | "base";
  /** Share of training labels that are flipped. */
  readonly noise: number;
}

export type TaskConfig = Sst2Task | PlantedRankTask;

export interface Study {
  readonly name: string;
  readonly task: TaskConfig;
  /** Folder of a Hugging Face checkpoint. */
  readonly base?: string | undefined;
  readonly model?: ModelOptions | undefined;
  readonly seeds: readonly number[];
  readonly train: TrainOverrides;
  readonly configs: Readonly<Record<string, MethodConfig>>;
}
