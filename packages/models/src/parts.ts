/**
 * @module
 * What families are made of: for those who write one. Models themselves are in `@lowrank/models`.
 */
export { BERT_TABLE, bertFileAs, parseBertAs, type BertValues } from "./bert/config.ts";
export { BertEmbeddings } from "./bert/embeddings.ts";
export { BertEncoder, BertPooler } from "./bert/encoder.ts";
export { headDropout } from "./bert/heads.ts";
export { BertBody } from "./bert/model.ts";
export { LlamaAttention, type LlamaContext } from "./llama/attention.ts";
export {
  attentionBias,
  DECODER_TABLE,
  LLAMA_TABLE,
  llamaFileAs,
  parseLlamaAs,
  type LlamaValues,
} from "./llama/config.ts";
export { LlamaCausalHead, LlamaClassificationHead } from "./llama/heads.ts";
export { LlamaLayer, LlamaMLP } from "./llama/layer.ts";
export { LlamaBody, rotaryOf } from "./llama/model.ts";
export type { RopeConfig } from "./llama/rope-config.ts";
export type { LayerVariant, LlamaVariant } from "./llama/variant.ts";
export {
  attend,
  encoderSight,
  keyMask,
  mergeHeads,
  repeatHeads,
  splitHeads,
  type Drawn,
  type Sight,
} from "./shared/attention.ts";
export {
  causalMask,
  causalSight,
  causalWeights,
  positionsOf,
  type CausalMask,
  type CausalOptions,
} from "./shared/causal.ts";
export { activationName, depth, orNull, spread, tokenId } from "./shared/config-rules.ts";
export {
  floatKey,
  floatKeys,
  key,
  type ConfigKey,
  type ConfigSource,
  type ConfigTable,
} from "./shared/config-table.ts";
export {
  builtActivation,
  checkHeads,
  initOf,
  paddingIndex,
  presentId,
  readBase,
  writeBase,
  type ConfigOverrides,
  type ModelConfig,
} from "./shared/config.ts";
export { CausalClassification, CausalHead, QuestionAnswering, TokenClassification } from "./shared/heads.ts";
export {
  aCacheStep,
  anyTensor,
  checkBeside,
  firstToken,
  textShape,
  type InputRules,
  type TextInputs,
} from "./shared/inputs.ts";
export {
  CacheStep,
  KeyValueCache,
  type CacheOptions,
  type CacheShape,
  type CacheStepOptions,
  type KeptLayer,
  type LayerCache,
} from "./shared/key-value-cache.ts";
export { answerLoss, classificationLoss, flatCrossEntropy, nextTokenLoss } from "./shared/losses.ts";
export { MaskedHead, type MaskedWords } from "./shared/masked-head.ts";
export { ModelWithHead, type Base } from "./shared/model-with-head.ts";
export { outputLayer, tableHead, TiedLinear, type WordHead } from "./shared/output-layer.ts";
export {
  runLayers,
  splitAnswer,
  type HeadOutputs,
  type HiddenOutputs,
  type LayerOutput,
  type WordOutputs,
} from "./shared/outputs.ts";
export { nextWordOutputs, wordOutputs } from "./shared/word-losses.ts";
export { DynamicRotary, type DynamicRotaryOptions } from "./shared/dynamic-rotary.ts";
export type { RopeScaling } from "./shared/rope-scaling.ts";
export { Rotary, type RotaryAngles, type RotaryOptions, type RotaryTables } from "./shared/rotary.ts";
