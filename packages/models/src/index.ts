/**
 * @module
 * Transformer models with Hugging Face names and files.
 */
export { bertConfigFile, parseBertConfig, type BertConfig } from "./bert/config.ts";
export type { BertInputs } from "./bert/embeddings.ts";
export { BertModel, type BertOutputs } from "./bert/encoder.ts";
export {
  BertForMaskedLM, BertForQuestionAnswering, BertForSequenceClassification, BertForTokenClassification,
  type MaskedInputs, type QuestionInputs, type QuestionOutputs, type SequenceInputs, type TaskOutputs, type TokenInputs,
} from "./bert/heads.ts";
export { parseDistilBertConfig, type DistilBertConfig } from "./distilbert/config.ts";
export { DistilBertForSequenceClassification, type DistilBertClassificationInputs } from "./distilbert/heads.ts";
export { DistilBertModel } from "./distilbert/model.ts";
export { directory, type Files } from "./files.ts";
export { parseGPT2Config, type GPT2Config } from "./gpt2/config.ts";
export { GPT2ForSequenceClassification, GPT2LMHeadModel, type CausalInputs, type CausalOutputs, type GPT2ClassificationInputs } from "./gpt2/heads.ts";
export { GPT2Model, type GPT2Inputs } from "./gpt2/model.ts";
export { parseLlamaConfig, type LlamaConfig } from "./llama/config.ts";
export { LlamaForCausalLM, LlamaModel, type LlamaCausalInputs, type LlamaInputs } from "./llama/model.ts";
export { loadWeights, PretrainedModel, readConfig, type LoadOptions, type LoadReport, type ModelFamily } from "./pretrained.ts";
export { architectureFor, architectureOf, architectures, fromPretrained, metaModel, savePretrained, type BertTaskModel, type CausalModel, type TaskClass, type TaskModel } from "./registry.ts";
export { parseRobertaConfig, type RobertaConfig } from "./roberta/config.ts";
export { RobertaForSequenceClassification, RobertaModel, type RobertaClassificationInputs } from "./roberta/model.ts";
export { positionsOf } from "./shared/causal.ts";
export type { ConfigOverrides, ConfigSource, ModelConfig } from "./shared/config.ts";
export { tokenLosses } from "./shared/losses.ts";
export type { HeadOutputs, HiddenOutputs, TextInputs } from "./shared/outputs.ts";
export { loadTokenizer, type Encoding, type Tokenizer } from "./tokenizer.ts";
