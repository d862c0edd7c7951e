/**
 * @module
 * Transformer models with Hugging Face names and files.
 */
export { bertConfigFile, parseBertConfig, type BertConfig } from "./bert/config.ts";
export type { BertInputs } from "./bert/embeddings.ts";
export {
  BertForMaskedLM,
  BertForQuestionAnswering,
  BertForSequenceClassification,
  BertForTokenClassification,
  type MaskedInputs,
  type QuestionInputs,
  type QuestionOutputs,
  type SequenceInputs,
  type TaskOutputs,
  type TokenInputs,
} from "./bert/heads.ts";
export { BertModel, type BertOutputs } from "./bert/model.ts";
export { parseDistilBertConfig, type DistilBertConfig } from "./distilbert/config.ts";
export { DistilBertForSequenceClassification, type DistilBertClassificationInputs } from "./distilbert/heads.ts";
export { DistilBertModel } from "./distilbert/model.ts";
export { directory, type Files } from "@lowrank/tensor";
export { parseGPT2Config, type GPT2Config } from "./gpt2/config.ts";
export {
  GPT2ForSequenceClassification,
  GPT2LMHeadModel,
  type CausalInputs,
  type CausalOutputs,
  type GPT2ClassificationInputs,
} from "./gpt2/heads.ts";
export { GPT2Model, type GPT2Inputs } from "./gpt2/model.ts";
export { readConfig } from "./identity.ts";
export { parseLlamaConfig, type LlamaConfig } from "./llama/config.ts";
export { LlamaForCausalLM, LlamaModel, type LlamaCausalInputs, type LlamaInputs } from "./llama/model.ts";
export type { LoadOptions, LoadReport } from "./load.ts";
export { PretrainedModel, type ModelFamily } from "./pretrained.ts";
export {
  architectureFor,
  architectureOf,
  architectures,
  bareArchitectures,
  fromPretrained,
  metaModel,
  savePretrained,
  type AnyModel,
  type BareModel,
  type BertTaskModel,
  type CausalModel,
  type PretrainedOptions,
  type RobertaTaskModel,
  type TaskClass,
  type TaskModel,
} from "./registry.ts";
export { parseRobertaConfig, type RobertaConfig } from "./roberta/config.ts";
export {
  RobertaForQuestionAnswering,
  RobertaForSequenceClassification,
  RobertaForTokenClassification,
} from "./roberta/heads.ts";
export { RobertaModel } from "./roberta/model.ts";
export { positionsOf } from "./shared/causal.ts";
export type { ConfigSource } from "./shared/config-table.ts";
export type { ConfigOverrides, ModelConfig } from "./shared/config.ts";
export type { TextInputs } from "./shared/inputs.ts";
export type { ProblemType } from "./shared/labels.ts";
export { perplexityParts, tokenLosses, type PerplexityParts } from "./shared/losses.ts";
export type { AnswerOutputs, HeadOutputs, HiddenOutputs } from "./shared/outputs.ts";
export type { Encoding } from "./tokenizer/encoding.ts";
export {
  loadTokenizer,
  parseTokenizer,
  type DecodeOptions,
  type EncodeOptions,
  type Tokenizer,
  type TokenizerInput,
} from "./tokenizer/tokenizer.ts";
export type { TruncationSide, TruncationStrategy } from "./tokenizer/truncation.ts";
