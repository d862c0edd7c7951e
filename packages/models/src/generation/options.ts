/** What may be said of a text to be written, and what follows from it. */
import { LowrankError } from "@lowrank/tensor";
import {
  callback,
  checkOptions,
  fields,
  flag,
  having,
  leaf,
  listOf,
  name,
  optional,
  positive,
  real,
  whole,
  type Rule,
} from "@lowrank/tensor/check";
import type { Sampling } from "./sampling.ts";

/** An AbortSignal, as far as it matters here. */
export interface Signal {
  throwIfAborted(): void;
}

export interface TokenOptions extends Sampling {
  /** Most tokens that are written. Default 256, or as many as the model has positions for. */
  readonly maxNewTokens?: number | undefined;
  /** Draw words, and not always take the likeliest. Default: where a temperature, `topK`, `topP`, `minP` or a seed is given. */
  readonly sample?: boolean | undefined;
  /** Of the draws; each text of a batch has a stream of its own. Default: another one each time, told by the result. */
  readonly seed?: number | undefined;
  /** Scores of words that stand in the text so far, divided by it where they are positive, else multiplied. Default 1. */
  readonly repetitionPenalty?: number | undefined;
  /** Count the padding of a batch's shorter texts as words of theirs, this id, which transformers does. Default: padding is no word. */
  readonly penalizePadding?: number | undefined;
  /** A token, or several, with which a text ends. Default: none for token ids, the tokenizer's `eos` for texts; [] for none. */
  readonly eos?: number | readonly number[] | undefined;
  /** False: every token computes the whole text. Default true. */
  readonly cache?: boolean | undefined;
  /**
   * The prompt goes on from the text before, as the turns of a conversation do: what both begin with is not computed again. It is right only while the model has not changed
   * since, adapters included. Of one prompt, not of several. Default false: a text is computed from its first token, so that it has the same bits each time.
   */
  readonly continues?: boolean | undefined;
  /** Stops between two tokens, with the signal's reason. */
  readonly signal?: Signal | undefined;
}

export interface TextOptions extends TokenOptions {
  /** A text ends where one of them begins. */
  readonly stop?: string | readonly string[] | undefined;
  /** Put the tokenizer's special tokens before a prompt that is a string; default true. */
  readonly specialTokens?: boolean | undefined;
}

/** One or several. */
function some<T>(expects: string, item: Rule<T>): Rule<T | readonly T[]> {
  return {
    expects,
    read: (value, at) => (Array.isArray(value) ? listOf(item).read(value, at) : item.read(value, at)),
  };
}

const token = whole(0);
const TOKEN_RULES = {
  maxNewTokens: optional(whole(1)),
  sample: optional(flag),
  seed: optional(leaf("a whole number", Number.isSafeInteger)) as Rule<number | undefined>,
  temperature: optional(positive),
  topK: optional(whole(0)),
  topP: optional(real({ above: 0, max: 1 })),
  minP: optional(real({ min: 0, max: 1 })),
  repetitionPenalty: optional(positive),
  penalizePadding: optional(token),
  eos: optional(some("a token id or a list of them", token)),
  cache: optional(flag),
  continues: optional(flag),
  signal: optional(having<Signal>("an AbortSignal", { throwIfAborted: callback() })),
};
const SPELT = {
  max_new_tokens: "maxNewTokens",
  maxTokens: "maxNewTokens",
  max_tokens: "maxNewTokens",
  do_sample: "sample",
  doSample: "sample",
  top_k: "topK",
  top_p: "topP",
  min_p: "minP",
  repetition_penalty: "repetitionPenalty",
  eos_token_id: "eos",
  stop_strings: "stop",
  stopStrings: "stop",
  use_cache: "cache",
};
const TOKENS: Rule<TokenOptions> = fields<TokenOptions>(TOKEN_RULES, { spelt: SPELT });
const TEXTS: Rule<TextOptions> = fields<TextOptions>(
  { ...TOKEN_RULES, stop: optional(some("a string or a list of strings", name)), specialTokens: optional(flag) },
  { spelt: SPELT },
);

/** @throws LowrankError (ConfigError) for what is unknown, out of range, or would do nothing */
export function tokenOptions(what: string, options: TokenOptions): TokenOptions {
  return sensible(what, checkOptions(what, TOKENS, options));
}

/** As `tokenOptions`. */
export function textOptions(what: string, options: TextOptions): TextOptions {
  return sensible(what, checkOptions(what, TEXTS, options));
}

const DRAWING = ["temperature", "topK", "topP", "minP", "seed"] as const;

/** Whether words are drawn. */
export function draws(options: TokenOptions): boolean {
  return options.sample ?? DRAWING.some((key) => options[key] !== undefined);
}

function sensible<T extends TokenOptions>(what: string, options: T): T {
  const idle = DRAWING.find((key) => options[key] !== undefined);
  if (options.sample === false && idle !== undefined)
    throw new LowrankError(
      "ConfigError",
      `${what}: with sample: false the likeliest word is taken, and "${idle}" would do nothing; leave one of them out`,
    );
  if (options.continues === true && options.cache === false)
    throw new LowrankError(
      "ConfigError",
      `${what}: with cache: false nothing is kept that "continues" could go on from; leave one of them out`,
    );
  if (options.penalizePadding !== undefined && (options.repetitionPenalty ?? 1) === 1)
    throw new LowrankError(
      "ConfigError",
      `${what}: "penalizePadding" does nothing without a repetitionPenalty other than 1; leave it out`,
    );
  return options;
}

/** One or several, as a list. */
export function listed<T>(x: T | readonly T[] | undefined): readonly T[] {
  return x === undefined ? [] : Array.isArray(x) ? (x as readonly T[]) : [x as T];
}
