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

export interface Study {
  readonly name: string;
  readonly task: TaskOptions;
  /** Metrics by name; absent: the task's own. */
  readonly metrics?: readonly string[] | undefined;
  /** Folder of a Hugging Face checkpoint. */
  readonly base?: string | undefined;
  readonly model?: ModelOptions | undefined;
  readonly seeds: readonly number[];
  readonly train: TrainOverrides;
  readonly configs: Readonly<Record<string, MethodConfig>>;
}

/** One cell of a study: everything that decides its numbers, with all defaults filled in. */
export interface ResolvedConfig {
  readonly name: string;
  readonly task: Study["task"];
  readonly base: string | null;
  readonly model: ModelOptions | null;
  /** Absent: the task's own. */
  readonly metrics?: readonly string[];
  readonly method: MethodConfig;
  readonly train: TrainOptions;
}
