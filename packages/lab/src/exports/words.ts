/** What exports are called and what may be said of them, for the command line, which loads nothing else before it is used. */

export interface ExportWords {
  readonly name: string;
  /** In `--help`. */
  readonly about: string;
  readonly writes: "file" | "folder";
  /** What there must be besides a base. */
  readonly needs?: "adapter";
  /** What `--type` may be, the default first; absent where there is no choice. */
  readonly types?: readonly string[];
}

/** Matrices of a GGUF file. */
export const GGUF_TYPES: readonly string[] = ["F16", "Q8_0", "F32"];
/** Forms of a Hugging Face folder in fewer bits. */
export const FOLDER_FORMS: readonly string[] = ["nf4", "fp4", "int8"];
/** What `lowrank quantize` writes. */
export const QUANTIZED_FORMS: readonly string[] = [...FOLDER_FORMS, ...GGUF_TYPES];

export const PEFT: ExportWords = {
  name: "peft",
  about: "the adapter in PEFT's form, beside the original base, with a model card",
  writes: "folder",
  needs: "adapter",
};
export const GGUF_LORA: ExportWords = {
  name: "gguf-lora",
  about: "the adapter as a file that llama.cpp lays over the base's GGUF file",
  writes: "file",
  needs: "adapter",
};
export const MLX: ExportWords = {
  name: "mlx",
  about: "the adapter as mlx-lm's files",
  writes: "folder",
  needs: "adapter",
};
export const HF: ExportWords = {
  name: "hf",
  about: "a Hugging Face folder, merged",
  writes: "folder",
  types: ["f16", "bf16", "f32"],
};
export const GGUF: ExportWords = {
  name: "gguf",
  about: "a file of llama.cpp, merged",
  writes: "file",
  types: GGUF_TYPES,
};
export const EXPORT_WORDS: readonly ExportWords[] = [PEFT, GGUF_LORA, MLX, HF, GGUF];
