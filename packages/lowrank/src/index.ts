/**
 * @module
 * What most programs use. All of a package stands under its name: `lowrank/tensor`, `lowrank/nn`, `lowrank/models`, …
 */
export {
  compile,
  Device,
  grad,
  init,
  LowrankError,
  mixedBf16,
  mixedF16,
  ops,
  Parameter,
  Tensor,
  valueAndGrad,
  withPrecision,
} from "@lowrank/tensor";
export {
  AdamW,
  clipGradNorm,
  constantSchedule,
  cosineSchedule,
  crossEntropy,
  Dropout,
  Embedding,
  gradientCheckpointing,
  LayerNorm,
  Linear,
  linearSchedule,
  LossScaler,
  Module,
  mse,
  RMSNorm,
  Rngs,
  SGD,
} from "@lowrank/nn";
export {
  architectureFor,
  BertForMaskedLM,
  BertForQuestionAnswering,
  BertForSequenceClassification,
  BertForTokenClassification,
  BertModel,
  DistilBertForSequenceClassification,
  DistilBertModel,
  fromPretrained,
  generate,
  GPT2ForSequenceClassification,
  GPT2LMHeadModel,
  GPT2Model,
  LlamaForCausalLM,
  LlamaModel,
  loadTokenizer,
  metaModel,
  parseBertConfig,
  parseDistilBertConfig,
  parseGPT2Config,
  parseLlamaConfig,
  parseRobertaConfig,
  RobertaForQuestionAnswering,
  RobertaForSequenceClassification,
  RobertaForTokenClassification,
  RobertaModel,
  savePretrained,
} from "@lowrank/models";
export { activate, adapt, attach, combine, familyRanks, loadAdapter, saveAdapter } from "@lowrank/peft";
export { loadQuantized, planQuantization, quantize, sizeReport } from "@lowrank/quant";
export { fit, fitSteps, openPredictor, predict } from "@lowrank/lab/fit";
