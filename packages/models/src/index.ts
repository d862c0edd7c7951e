/**
 * @module
 * Transformer models with Hugging Face names and files.
 */
export { bertConfigFile, parseBertConfig, type BertConfig } from "./bert/config.ts";
export { BertModel, type BertInputs, type BertOutputs } from "./bert/encoder.ts";
export {
  BertForMaskedLM, BertForQuestionAnswering, BertForSequenceClassification, BertForTokenClassification,
  type MaskedInputs, type QuestionInputs, type QuestionOutputs, type SequenceInputs, type TaskOutputs, type TokenInputs,
} from "./bert/heads.ts";
export { directory, type Files } from "./files.ts";
export { loadWeights, PretrainedModel, readConfig, type LoadOptions, type LoadReport } from "./pretrained.ts";
export { architectureOf, architectures, fromPretrained, metaModel, savePretrained, type BertTaskClass, type BertTaskModel } from "./registry.ts";
export { loadTokenizer, type Encoding, type Tokenizer } from "./tokenizer.ts";
