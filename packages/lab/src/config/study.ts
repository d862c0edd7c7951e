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

/** Everything frozen but the named modules. */
export interface HeadMethod {
  readonly method: "head";
  /** Module names or suffixes, as PEFT's modules_to_save; by default the classifier alone. */
  readonly modules: readonly string[];
  readonly train: TrainOverrides;
}

/** Low-rank adapters on the modules named by `target`; names and meaning as in PEFT's LoraConfig. */
export interface LoraMethod {
  readonly method: "lora";
  readonly r: number;
  readonly alpha: number;
  readonly dropout: number;
  readonly target: string | readonly string[];
  readonly exclude?: string | readonly string[] | undefined;
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  readonly rsLora: boolean;
  /** Trained in full beside the adapters: PEFT's modules_to_save. */
  readonly modulesToSave: readonly string[];
  readonly train: TrainOverrides;
}

/** Every parameter trained. */
export interface FullMethod {
  readonly method: "full";
  readonly train: TrainOverrides;
}

export type MethodConfig = HeadMethod | LoraMethod | FullMethod;

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
  /** Frobenius norm of each update relative to its base weight. */
  readonly strength: number;
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
