/** What tokenizers take and do, and the rules of their options. */
import { quote, LowrankError } from "@lowrank/tensor";
import { anyOf, fields, flag, listOf, oneOf, optional, text as string, whole, type Rule } from "@lowrank/tensor/check";
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

/** `longest`: to the longest row. `maxLength`: to `maxLength`, else the model's. A number: to so many tokens, where rows are not longer. */
export type Padding = "longest" | "maxLength" | number;

export interface BatchOptions extends Omit<EncodeOptions, "pair"> {
  /** A second text for each. */
  readonly pairs?: readonly TokenizerInput[] | undefined;
  /** Default: none, rows are as long as they are. */
  readonly padding?: Padding | undefined;
  /** Lengths of padded rows are multiples of it. */
  readonly padToMultipleOf?: number | undefined;
  /** Default the `padding_side` of tokenizer_config.json, else `right`. */
  readonly paddingSide?: TruncationSide | undefined;
  /** Default the `pad_token` of tokenizer_config.json. */
  readonly padToken?: string | undefined;
  /** Type id of padding, default 0. */
  readonly padTypeId?: number | undefined;
  /** What does not fit makes more rows, each of at most `maxLength` tokens; default false. */
  readonly overflow?: boolean | undefined;
  /** Tokens that a row of what overflows repeats of the row before it; default 0. */
  readonly stride?: number | undefined;
}

/** Rows of a batch, one after the other: first all of the first text, then of the second. */
export interface BatchEncoding {
  /** Padding has `specialTokensMask` 1, offsets [0, 0] and null elsewhere. */
  readonly encodings: readonly Encoding[];
  /** 1 for a token, 0 for padding. */
  readonly attentionMask: readonly (readonly number[])[];
  /** The text that each row is of. */
  readonly sampleOf: readonly number[];
}

/** A token to add to a vocabulary. */
export interface NewToken {
  readonly content: string;
  /** Left out by decoding; default false. */
  readonly special?: boolean | undefined;
  readonly singleWord?: boolean | undefined;
  /** Takes the white space before it along. */
  readonly lstrip?: boolean | undefined;
  readonly rstrip?: boolean | undefined;
  /** Looked for in normalized text; default: unless it is special. */
  readonly normalized?: boolean | undefined;
}

/** Special tokens by the part that they have, as tokenizer_config.json names them. */
export type SpecialRole = "bos" | "eos" | "unk" | "sep" | "pad" | "cls" | "mask";

/** Text of tokens that come one by one. */
export interface DecodeStream {
  /** What the token adds to the text: nothing ("") while it is a part of a character, or of what only shows once more has come. */
  push(id: number): string;
  /** What is left when no more tokens come: incomplete characters as U+FFFD. */
  end(): string;
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
  /**
   * Texts of one call, cut, spread over rows and padded alike.
   * @throws LowrankError (ConfigError) as `encode`, for a `stride` that leaves a part nothing of its own, and padding without a token
   */
  encodeBatch(texts: readonly TokenizerInput[], options?: BatchOptions): BatchEncoding;
  /** Ids without a token (of a padded embedding) are left out. */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;
  /** `decode` for tokens that come one by one; without `cleanUpSpaces`. */
  decodeStream(options?: Pick<DecodeOptions, "skipSpecialTokens">): DecodeStream;
  /** The special tokens that tokenizer_config.json names. */
  readonly specialTokens: Readonly<Partial<Record<SpecialRole, string>>>;
  /**
   * This tokenizer with more tokens, which get the ids behind the largest; a token of the vocabulary keeps its id and is found as a whole
   * from now on. The model's embedding must have as many rows.
   */
  withTokens(tokens: readonly (string | NewToken)[]): Tokenizer;
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
const CUTTING = {
  specialTokens: optional(flag),
  maxLength: optional(whole(0)),
  truncation: optional(oneOf(...TRUNCATION_STRATEGIES)),
  truncationSide: optional(oneOf(...TRUNCATION_SIDES)),
};
const SPELT = {
  text_pair: "pair",
  textPair: "pair",
  max_length: "maxLength",
  add_special_tokens: "specialTokens",
  addSpecialTokens: "specialTokens",
  truncation_side: "truncationSide",
  truncation_strategy: "truncation",
};
export const ENCODE: Rule<EncodeOptions> = fields<EncodeOptions>(
  { pair: optional(input), ...CUTTING },
  { spelt: SPELT },
);
/** Rows longer than any model takes are a mistake; each costs memory. */
const LONGEST_ROW = 2 ** 24;
export const BATCH: Rule<BatchOptions> = fields<BatchOptions>(
  {
    pairs: optional(listOf(input)),
    ...CUTTING,
    padding: optional(anyOf(oneOf("longest", "maxLength"), whole(0, LONGEST_ROW))),
    padToMultipleOf: optional(whole(1, LONGEST_ROW)),
    paddingSide: optional(oneOf(...TRUNCATION_SIDES)),
    padToken: optional(string),
    padTypeId: optional(whole(0)),
    overflow: optional(flag),
    stride: optional(whole(0)),
  },
  {
    spelt: {
      ...SPELT,
      pad_to_multiple_of: "padToMultipleOf",
      padding_side: "paddingSide",
      pad_token: "padToken",
      pad_token_type_id: "padTypeId",
      return_overflowing_tokens: "overflow",
      returnOverflowingTokens: "overflow",
    },
  },
);
export const NEW_TOKENS: Rule<{ readonly tokens: readonly (string | NewToken)[] }> = fields<{
  readonly tokens: readonly (string | NewToken)[];
}>({
  tokens: listOf(
    anyOf(
      string,
      fields<NewToken>({
        content: string,
        special: optional(flag),
        singleWord: optional(flag),
        lstrip: optional(flag),
        rstrip: optional(flag),
        normalized: optional(flag),
      }),
    ),
  ),
});
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
