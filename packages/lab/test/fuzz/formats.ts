/** Every format that is read: a sound sample to damage, the reader of the packages, and in words of its own what an accepted input must be. */
import { adapterConfig, mlxAdapter } from "./adapters.ts";
import { bnbEntries } from "./bitsandbytes.ts";
import { chatTemplate } from "./chats.ts";
import { configJson, quantizationConfig } from "./configs.ts";
import { ggufFile } from "./gguf.ts";
import type { FuzzFormat } from "./judge.ts";
import { safetensorsFile } from "./safetensors.ts";
import { shardIndex } from "./shards.ts";
import { checkpoint, resultJson, tokenCache } from "./stores.ts";
import { labelledTsv, overrides, pretrain, study } from "./studies.ts";
import { tokenizerConfig, tokenizerJson } from "./tokenizers.ts";

export const FORMATS: readonly FuzzFormat[] = [
  configJson,
  adapterConfig,
  tokenizerJson,
  tokenizerConfig,
  chatTemplate,
  safetensorsFile,
  shardIndex,
  ggufFile,
  quantizationConfig,
  bnbEntries,
  mlxAdapter,
  study,
  overrides,
  pretrain,
  resultJson,
  checkpoint,
  tokenCache,
  labelledTsv,
];
