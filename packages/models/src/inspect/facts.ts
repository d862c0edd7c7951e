/** What is known of a checkpoint from its headers: plain records, the same in every place. What there is not is null, so that JSON has it. */

/** A tensor as the file has it. */
export interface TensorFacts {
  readonly name: string;
  /** In the file's own words: "BF16", "Q4_K". */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
}

/** A weight of the model, and how the file keeps it. */
export interface WeightFacts {
  /** As the model has it. */
  readonly name: string;
  /** dtype in the file's own words, or the form of a quantized one: "nf4", "int8", "Q4_K". */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Of all entries that hold it. */
  readonly bytes: number;
  /** Four bits with scales that are quantized too. */
  readonly doubleQuantized: boolean;
}

/** Tensors of one dtype together. */
export interface DTypeFacts {
  readonly dtype: string;
  readonly tensors: number;
  /** Elements as the file counts them: of four-bit codes two share one. */
  readonly elements: number;
  readonly bytes: number;
}

/** Sizes of a model, whatever its family calls them. */
export interface ModelSizes {
  readonly layers: number | null;
  readonly hidden: number | null;
  readonly intermediate: number | null;
  readonly heads: number | null;
  readonly keyValueHeads: number | null;
  readonly headDim: number | null;
  readonly vocabulary: number | null;
  /** The longest text it was made for, in tokens. */
  readonly positions: number | null;
  /** Tokens that one sees in layers with a sliding window. */
  readonly window: number | null;
  readonly rotary: RotaryFacts | null;
  /** Whether the output layer is the embedding table. */
  readonly tied: boolean | null;
  readonly labels: readonly string[] | null;
}

export interface RotaryFacts {
  readonly theta: number;
  /** "default", "linear", "dynamic", "llama3", "yarn". */
  readonly type: string;
  readonly factor: number | null;
}

/** Numbers of a model, each weight once. */
export interface ParameterFacts {
  readonly total: number;
  /** In embedding tables. */
  readonly embedding: number;
  /** In linear layers, which adapters sit on, tied output layers not among them. */
  readonly linear: number;
}

/** What loading comes to, told without reading a tensor. */
export interface LoadFacts {
  /** The class it is loaded as; null where that is not known. */
  readonly as: string | null;
  /** PEFT's word for what the class is for; null for bare models and heads that PEFT has no word for. */
  readonly task: string | null;
  /** Why it cannot be loaded, in one line; null where it can. */
  readonly refused: string | null;
  /** Weights that would be drawn: a head or pooler that the file does not have. */
  readonly fresh: readonly string[];
  /** Weights of the base that the file lacks. */
  readonly missing: readonly string[];
  /** Tensors of the file that the model has no place for. */
  readonly unexpected: readonly string[];
  /** Keys of the config whose function is not built, a phrase each. */
  readonly notBuilt: readonly string[];
  readonly parameters: ParameterFacts | null;
}

export interface TokenizerFacts {
  /** Where it stands. */
  readonly file: string;
  /** "BPE", "WordPiece", "Unigram", or GGUF's "llama", "gpt2"; null where the file is too long for a look. */
  readonly model: string | null;
  /** Tokens, added ones with them; null as above. */
  readonly vocabulary: number | null;
  /** By role: "bos", "pad". */
  readonly special: Readonly<Record<string, string>>;
  /** The longest text in tokens; null where nobody says. */
  readonly maxLength: number | null;
  readonly chatTemplate: boolean;
  /** Why it cannot be loaded, in one line; null where it can, as far as was looked. */
  readonly refused: string | null;
}

export type CheckpointForm = "safetensors" | "gguf" | "llama2.c" | "pickle" | "none";

export interface CheckpointFacts {
  /** A model with its config, tensors without one, or a tokenizer alone. */
  readonly kind: "checkpoint" | "tensors" | "tokenizer";
  readonly where: string;
  readonly form: CheckpointForm;
  /** Files that hold the tensors. */
  readonly files: readonly string[];
  /** Of all tensors. */
  readonly bytes: number;
  readonly modelType: string | null;
  readonly architectures: readonly string[];
  /** "nf4", "int8", "gptq", …, as config and entries say; null for plain numbers, and for GGUF, whose dtypes say it. */
  readonly quantization: string | null;
  readonly sizes: ModelSizes | null;
  /** In the order of the model, where it is known. */
  readonly tensors: readonly TensorFacts[];
  /** Those of them that the model takes, each with all that belongs to it; empty where no family has the model. */
  readonly weights: readonly WeightFacts[];
  /** The largest first. */
  readonly dtypes: readonly DTypeFacts[];
  /** Texts that the file says of itself: `__metadata__` of safetensors, `general.…` of GGUF. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly tokenizer: TokenizerFacts | null;
  readonly loads: LoadFacts;
}
