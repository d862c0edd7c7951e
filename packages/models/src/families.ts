/** The families that are built, a line each: the registry takes their `FamilyModels` from here, and the package shows the rest. */
export * from "./bert/index.ts";
export * from "./deberta-v2/index.ts";
export * from "./distilbert/index.ts";
export * from "./gemma3/index.ts";
export * from "./gpt2/index.ts";
export * from "./llama/index.ts";
export * from "./mistral/index.ts";
export * from "./qwen2/index.ts";
export * from "./qwen3/index.ts";
export * from "./roberta/index.ts";
