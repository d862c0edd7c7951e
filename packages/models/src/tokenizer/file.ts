/** The shapes of tokenizer.json and tokenizer_config.json: each is read here and nowhere else. */
import { FormatError } from "@lowrank/tensor";
import { absent, anything, checkFile, fields, flag, leaf, oneOf, text, type Rule } from "@lowrank/tensor/check";
import { AddedTokens, addedTokenList, type AddedToken } from "./added-tokens.ts";
import { bytePair } from "./byte-pair.ts";
import {
  contentOf,
  DECLARED,
  namedToken,
  withDeclared,
  type DeclaredTokens,
  type NamedToken,
} from "./declared-tokens.ts";
import { decoder, WORDS, type Decoder } from "./decoder.ts";
import { normalizer, type Normalizer } from "./normalizer.ts";
import type { SpecialRole } from "./options.ts";
import { partOf, type Part } from "./parts.ts";
import { PLAIN, postProcessor, type PostProcessor } from "./post-processor.ts";
import { preTokenizer, type PreTokenizer } from "./pre-tokenizer.ts";
import type { SubwordModel } from "./subword-model.ts";
import { TRUNCATION_SIDES, type TruncationSide } from "./truncation.ts";
import { unigram } from "./unigram.ts";
import { wordPiece } from "./word-piece.ts";

/** The parts of a tokenizer, in the order in which a text goes through them. */
export interface TokenizerParts {
  readonly added: AddedTokens;
  readonly normalize: Normalizer;
  readonly preTokenize: PreTokenizer;
  readonly model: SubwordModel;
  readonly postProcessor: PostProcessor;
  readonly decode: Decoder;
}

interface TokenizerFile {
  version: "1.0" | undefined;
  truncation: unknown;
  padding: unknown;
  added_tokens: AddedToken[] | undefined;
  normalizer: Normalizer | undefined;
  pre_tokenizer: PreTokenizer | undefined;
  model: SubwordModel;
  post_processor: PostProcessor | undefined;
  decoder: Decoder | undefined;
}
const MODELS: Readonly<Record<string, Part<SubwordModel>>> = { WordPiece: wordPiece, BPE: bytePair, Unigram: unigram };
/** Files of before 2021 do not name their model's type. */
const modelType = (value: object): string | undefined =>
  "merges" in value ? "BPE" : "max_input_chars_per_word" in value ? "WordPiece" : undefined;

const TOKENIZER: Rule<TokenizerFile> = fields<TokenizerFile>({
  version: absent(oneOf("1.0")),
  // defaults for callers who give none, which transformers does not use either: a call says how it cuts and pads
  truncation: absent(anything()),
  padding: absent(anything()),
  added_tokens: addedTokenList,
  normalizer: absent(normalizer),
  pre_tokenizer: absent(preTokenizer),
  model: partOf("model", () => MODELS, modelType),
  post_processor: absent(postProcessor),
  decoder: absent(decoder),
});

/** @throws LowrankError (FormatError) naming the file and the key, also where `config` contradicts it */
export function readTokenizer(value: unknown, source: string, config: TokenizerConfig): TokenizerParts {
  const file = checkFile(source, TOKENIZER, value);
  mustAgree(value as object, source, config);
  const { model } = file;
  const normalize: Normalizer = file.normalizer ?? ((text) => text);
  const preTokenize: PreTokenizer = file.pre_tokenizer ?? ((text) => [text]);
  const added = new AddedTokens(file.added_tokens ?? [], model.vocabulary, normalize, {
    source,
    path: [],
    code: "FormatError",
  });
  const named = ROLES.flatMap((role) => config[`${role}_token`] ?? []);
  return {
    added: withDeclared(added, config, named, source),
    normalize,
    preTokenize,
    model,
    postProcessor: file.post_processor ?? PLAIN,
    decode: file.decoder ?? WORDS,
  };
}

export interface TokenizerConfig extends DeclaredTokens {
  /** The class of transformers that wrote it. */
  readonly tokenizer_class?: string | undefined;
  /** Longest input of the model; very large where nobody knows. */
  readonly model_max_length?: number | undefined;
  readonly truncation_side?: TruncationSide | undefined;
  readonly padding_side?: TruncationSide | undefined;
  readonly bos_token?: NamedToken | undefined;
  readonly eos_token?: NamedToken | undefined;
  readonly unk_token?: NamedToken | undefined;
  readonly sep_token?: NamedToken | undefined;
  readonly pad_token?: NamedToken | undefined;
  readonly cls_token?: NamedToken | undefined;
  readonly mask_token?: NamedToken | undefined;
  readonly do_lower_case?: boolean | undefined;
  readonly strip_accents?: boolean | undefined;
  readonly tokenize_chinese_chars?: boolean | undefined;
  readonly add_prefix_space?: boolean | undefined;
}

/** In the order in which transformers numbers those that are new. */
const ROLES = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"] as const;

/** The special tokens that a tokenizer_config.json names. */
export function specialTokensOf(config: TokenizerConfig): Partial<Record<SpecialRole, string>> {
  const out: Partial<Record<SpecialRole, string>> = {};
  for (const role of ROLES) {
    const token = config[`${role}_token`];
    if (token !== undefined) out[role] = contentOf(token);
  }
  return out;
}

/** 1e30 is whole as well. */
const length: Rule<number> = leaf("a positive whole number", (v) => Number.isInteger(v) && (v as number) > 0);

const CONFIG: Rule<TokenizerConfig> = fields<TokenizerConfig>(
  {
    model_max_length: absent(length),
    truncation_side: absent(oneOf(...TRUNCATION_SIDES)),
    padding_side: absent(oneOf(...TRUNCATION_SIDES)),
    bos_token: absent(namedToken),
    eos_token: absent(namedToken),
    unk_token: absent(namedToken),
    sep_token: absent(namedToken),
    pad_token: absent(namedToken),
    cls_token: absent(namedToken),
    mask_token: absent(namedToken),
    do_lower_case: absent(flag),
    strip_accents: absent(flag),
    tokenize_chinese_chars: absent(flag),
    add_prefix_space: absent(flag),
    tokenizer_class: absent(text),
    ...DECLARED,
  },
  // the rest describes how to make a tokenizer.json, which is there already
  { unknown: "keep" },
);

/** Switches that both files have, and where tokenizer.json has them. transformers lets the config win, but only for some of its classes. */
const SHARED = [
  { key: "do_lower_case", part: "normalizer", type: "BertNormalizer", option: "lowercase" },
  { key: "strip_accents", part: "normalizer", type: "BertNormalizer", option: "strip_accents" },
  { key: "tokenize_chinese_chars", part: "normalizer", type: "BertNormalizer", option: "handle_chinese_chars" },
  { key: "add_prefix_space", part: "pre_tokenizer", type: "ByteLevel", option: "add_prefix_space" },
] as const;

function mustAgree(file: object, source: string, config: TokenizerConfig): void {
  for (const { key, part, type, option } of SHARED) {
    const options = (file as Record<string, Record<string, unknown> | null | undefined>)[part];
    const [said, is] = [config[key], options?.["type"] === type ? options[option] : undefined];
    if (said === undefined || typeof is !== "boolean" || is === said) continue;
    throw new FormatError(
      `${source}: "${part}.${option}" is ${is}, but tokenizer_config.json has "${key}": ${said}; make the two agree`,
    );
  }
}

/** @throws LowrankError (FormatError) naming the file and the key */
export function readTokenizerConfig(value: unknown, source: string): TokenizerConfig {
  return checkFile(source, CONFIG, value);
}
