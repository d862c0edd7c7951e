/**
 * @module
 * Transformer models with Hugging Face names and files.
 */
export { fromPretrained, type Pretrained, type PretrainedOptions } from "./checkpoint.ts";
export { locateCheckpoint, openCheckpoint, type LocatedCheckpoint, type OpenCheckpoint } from "./found.ts";
export { savePretrained, type SaveOptions } from "./save.ts";
export * from "./families.ts";
export type { FamilyModels } from "./family-models.ts";
export { directory, type Files } from "@lowrank/tensor";
export { blobs, type BlobHandle, type BlobLike } from "./places/blobs.ts";
export { http, type HttpOptions } from "./places/http.ts";
export { GgufFile } from "./gguf/file.ts";
export { textEnds } from "./generation/ends.ts";
export { generate } from "./generation/generate.ts";
export {
  TextGenerator,
  type ChatPrompt,
  type Piece,
  type Prompt,
  type Stream,
  type Written,
} from "./generation/generator.ts";
export type { TextOptions, TokenOptions } from "./generation/options.ts";
export type { Sampling } from "./generation/sampling.ts";
export type { Finish, NewToken as GeneratedToken } from "./generation/tokens.ts";
export { saveGgufLora, type LoraFactors } from "./gguf/lora.ts";
export { openGguf, type GgufCheckpoint } from "./gguf/open.ts";
export { ggufTokenizer, type GgufTokenizer } from "./gguf/tokenizer.ts";
export type { GgufMetadata } from "./gguf/metadata.ts";
export { GGUF_MATRIX_TYPES, saveGguf, type GgufMatrixType, type SavedGguf, type SaveGgufOptions } from "./gguf/save.ts";
export { readTokenizerFolder, type TokenizerFolder } from "./tokenizer/folder.ts";
export type { GgufTyped, GgufValue } from "./gguf/values.ts";
export { writeGguf, type GgufEntries, type GgufTensorEntry } from "./gguf/writer.ts";
export { readConfig } from "./identity.ts";
export { locate, type LocateOptions } from "./places/locate.ts";
export type { Place } from "./places/place.ts";
export type { UrlLike, Where } from "./places/url.ts";
export type {
  CheckpointFacts,
  CheckpointForm,
  DTypeFacts,
  LoadFacts,
  ModelSizes,
  ParameterFacts,
  RotaryFacts,
  TensorFacts,
  TokenizerFacts,
  WeightFacts,
} from "./inspect/facts.ts";
export { groupTensors, type TensorGroup } from "./inspect/groups.ts";
export { inspectCheckpoint, type InspectedCheckpoint, type InspectOptions } from "./inspect/inspect.ts";
export type { LoadOptions, LoadReport } from "./load.ts";
export { PretrainedModel, type ModelClass, type ModelFamily, type DrawnSizes } from "./pretrained.ts";
export {
  architectureFor,
  architectureOf,
  architectures,
  bareArchitectures,
  metaModel,
  registerFamily,
  taskOf,
} from "./registry.ts";
export { resizeTokenEmbeddings, type ResizeOptions } from "./resize.ts";
export { positionsOf } from "./shared/causal.ts";
export type { ConfigSource } from "./shared/config-table.ts";
export type { ConfigOverrides, ModelConfig } from "./shared/config.ts";
export type { ModelInputs, TextInputs } from "./shared/inputs.ts";
export type { ProblemType } from "./shared/labels.ts";
export { l2Normalize, meanPooling } from "./shared/pooling.ts";
export { perplexityParts, tokenLosses, type PerplexityParts } from "./shared/token-losses.ts";
export type { AnswerOutputs, HeadOutputs, HiddenOutputs, ModelOutputs, WordOutputs } from "./shared/outputs.ts";
export type { Encoding } from "./tokenizer/encoding.ts";
export type {
  BatchEncoding,
  BatchOptions,
  DecodeOptions,
  DecodeStream,
  EncodeOptions,
  NewToken,
  Padding,
  SpecialRole,
  Tokenizer,
  TokenizerInput,
} from "./tokenizer/options.ts";
export { readTokenizerFiles } from "./tokenizer/kept-files.ts";
export { saveTokenizer, type SaveTokenizerOptions } from "./tokenizer/saved.ts";
export { loadTokenizer, parseTokenizer } from "./tokenizer/tokenizer.ts";
export type { TruncationSide, TruncationStrategy } from "./tokenizer/truncation.ts";
