/** What tokenizers take and do, and the rules of their options. */
import { quote, LowrankError } from "@lowrank/tensor";
import { fields, flag, oneOf, optional, whole, type Rule } from "@lowrank/tensor/check";
import type { Encoding } from "./encoding.ts";
import { TRUNCATION_SIDES, TRUNCATION_STRATEGIES, type TruncationSide, type TruncationStrategy } from "./truncation.ts";

/** A text, or its words cut by somebody else. */
export type TokenizerInput = string | readonly string[];

export interface EncodeOptions {
  /** A second text. */
  readonly pair?: TokenizerInput | undefined;
  /** With the special tokens of the post-processor; default true. */
  readonly specialTokens?: boolean | undefined;
  /** Most tokens, special ones included. Default: no limit, or the model's where the call says how to cut. */
  readonly maxLength?: number | undefined;
  /** Default `longest_first`. */
  readonly truncation?: TruncationStrategy | undefined;
  /** The end that is lost; default the `truncation_side` of tokenizer_config.json, else `right`. */
  readonly truncationSide?: TruncationSide | undefined;
}

export interface DecodeOptions {
  /** Leave special tokens out; default true. */
  readonly skipSpecialTokens?: boolean | undefined;
  /**
   * Also take away the spaces before punctuation and in contractions, those of the text included; default false. transformers does so on
   * its own for WordPiece where tokenizer_config.json has `clean_up_tokenization_spaces`; here only a caller can ask for it, since it cannot be undone.
   */
  readonly cleanUpSpaces?: boolean | undefined;
}

export interface Tokenizer {
  /** Number of tokens, added ones included. */
  readonly vocabSize: number;
  /** The model's longest input by tokenizer_config.json; undefined where it says none. */
  readonly maxLength: number | undefined;
  /** Token id, or undefined. */
  idOf(token: string): number | undefined;
  /** The token with this id as the vocabulary spells it, or undefined. */
  tokenOf(id: number): string | undefined;
  /**
   * Lone surrogates count as U+FFFD.
   * @throws LowrankError (ConfigError) for unknown options, a `maxLength` below the number of special tokens, a strategy that cannot cut enough
   */
  encode(text: TokenizerInput, options?: EncodeOptions): Encoding;
  /** Ids without a token (of a padded embedding) are left out. */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;
}

export const input: Rule<TokenizerInput> = {
  expects: "a text or a list of words",
  read(value, at) {
    if (typeof value === "string") return value;
    if (Array.isArray(value) && value.every((word) => typeof word === "string")) return value as string[];
    throw new LowrankError(
      at.code,
      `${at.source}: ${at.path.length === 0 ? "the text" : `"${at.path.join(".")}"`} must be a string or a list of words, got ${quote(value)}`,
    );
  },
};
export const ENCODE: Rule<EncodeOptions> = fields<EncodeOptions>(
  {
    pair: optional(input),
    specialTokens: optional(flag),
    maxLength: optional(whole(0)),
    truncation: optional(oneOf(...TRUNCATION_STRATEGIES)),
    truncationSide: optional(oneOf(...TRUNCATION_SIDES)),
  },
  {
    spelt: {
      text_pair: "pair",
      textPair: "pair",
      max_length: "maxLength",
      add_special_tokens: "specialTokens",
      addSpecialTokens: "specialTokens",
      truncation_side: "truncationSide",
      truncation_strategy: "truncation",
    },
  },
);
export const DECODE: Rule<DecodeOptions> = fields<DecodeOptions>(
  { skipSpecialTokens: optional(flag), cleanUpSpaces: optional(flag) },
  {
    spelt: {
      skip_special_tokens: "skipSpecialTokens",
      clean_up_tokenization_spaces: "cleanUpSpaces",
      cleanUpTokenizationSpaces: "cleanUpSpaces",
    },
  },
);
