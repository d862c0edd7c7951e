/** The shapes of tokenizer.json and tokenizer_config.json: each is read here and nowhere else. */
import { absent, anything, checkFile, fields, oneOf, positive, type Rule } from "@lowrank/tensor/check";
import { AddedTokens, addedTokenList, type AddedToken } from "./added-tokens.ts";
import { bytePair } from "./byte-pair.ts";
import { decoder, WORDS, type Decoder } from "./decoder.ts";
import { normaliser, type Normaliser } from "./normaliser.ts";
import { partOf, type Part } from "./parts.ts";
import { PLAIN, postProcessor, type PostProcessor } from "./post-processor.ts";
import { preTokenizer, type PreTokenizer } from "./pre-tokenizer.ts";
import type { SubwordModel } from "./subword-model.ts";
import { TRUNCATION_SIDES, type TruncationSide } from "./truncation.ts";
import { wordPiece } from "./word-piece.ts";

/** The parts of a tokenizer, in the order in which a text goes through them. */
export interface TokenizerParts {
  readonly added: AddedTokens;
  readonly normalise: Normaliser;
  readonly preTokenise: PreTokenizer;
  readonly model: SubwordModel;
  readonly postProcessor: PostProcessor;
  readonly decode: Decoder;
}

interface TokenizerFile {
  version: "1.0" | undefined; truncation: unknown; padding: unknown; added_tokens: AddedToken[] | undefined;
  normalizer: Normaliser | undefined; pre_tokenizer: PreTokenizer | undefined; model: SubwordModel; post_processor: PostProcessor | undefined; decoder: Decoder | undefined;
}
const MODELS: Readonly<Record<string, Part<SubwordModel>>> = { WordPiece: wordPiece, BPE: bytePair };
/** Files of before 2021 do not name their model's type. */
const modelType = (value: object): string | undefined => ("merges" in value ? "BPE" : "max_input_chars_per_word" in value ? "WordPiece" : undefined);

const TOKENIZER: Rule<TokenizerFile> = fields<TokenizerFile>({
  version: absent(oneOf("1.0")),
  // defaults for callers who give none, which transformers does not use either: a call says how it cuts and pads
  truncation: absent(anything()), padding: absent(anything()),
  added_tokens: addedTokenList,
  normalizer: absent(normaliser), pre_tokenizer: absent(preTokenizer), model: partOf("model", () => MODELS, modelType),
  post_processor: absent(postProcessor), decoder: absent(decoder),
});

/** @throws LowrankError (FormatError) naming the file and the key */
export function readTokenizer(value: unknown, source: string): TokenizerParts {
  const file = checkFile(source, TOKENIZER, value);
  const { model } = file;
  const normalise: Normaliser = file.normalizer ?? ((text) => text);
  const preTokenise: PreTokenizer = file.pre_tokenizer ?? ((text) => [text]);
  const added = new AddedTokens(file.added_tokens ?? [], model.vocabulary, normalise, { source, path: [], code: "FormatError" });
  return { added, normalise, preTokenise, model, postProcessor: file.post_processor ?? PLAIN, decode: file.decoder ?? WORDS };
}

export interface TokenizerConfig {
  /** Longest input of the model; very large where nobody knows. */
  readonly model_max_length?: number | undefined;
  readonly truncation_side?: TruncationSide | undefined;
}

const CONFIG: Rule<TokenizerConfig> = fields<TokenizerConfig>(
  { model_max_length: absent(positive), truncation_side: absent(oneOf(...TRUNCATION_SIDES)) },
  // the rest describes how to make a tokenizer.json, which is there already
  { unknown: "keep" },
);

/** @throws LowrankError (FormatError) naming the file and the key */
export function readTokenizerConfig(value: unknown, source: string): TokenizerConfig {
  return checkFile(source, CONFIG, value);
}
