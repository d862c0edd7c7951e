/**
 * The tokenizer of a GGUF file as Hugging Face's two files. Two kinds are built: byte-level BPE ("gpt2"), which comes with its merges, and
 * SentencePiece's BPE ("llama"), which comes with scores: of all neighbours that are a piece together those with the highest score merge.
 */
import { FormatError, LowrankError, quote } from "@lowrank/tensor";
import { flag, leaf, listOf, text, whole, type Rule } from "@lowrank/tensor/check";
import { readOne, tokenIds, type GgufMetadata } from "./metadata.ts";
import { mergesByScore } from "./merges.ts";
import { splitOf } from "./pre-tokenizers.ts";

/** What would stand in `tokenizer.json` and `tokenizer_config.json`, for `parseTokenizer`. */
export interface GgufTokenizer {
  readonly tokenizer: Readonly<Record<string, unknown>>;
  readonly config: Readonly<Record<string, unknown>>;
}

/** `tokenizer.ggml.token_type`. */
export const TOKEN_TYPES = { NORMAL: 1, UNKNOWN: 2, CONTROL: 3, USER_DEFINED: 4, UNUSED: 5, BYTE: 6 } as const;
const { NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE } = TOKEN_TYPES;
const SPACE = "▁";

interface Vocabulary {
  readonly tokens: readonly string[];
  readonly types: ArrayLike<number>;
  readonly ids: ReadonlyMap<string, number>;
}

const i32s: Rule<Int32Array> = leaf("an array of i32", (v) => v instanceof Int32Array);
const f32s: Rule<Float32Array> = leaf("an array of f32", (v) => v instanceof Float32Array);

const KINDS: Readonly<Record<string, (metadata: GgufMetadata, vocabulary: Vocabulary) => object>> = {
  gpt2: byteLevel,
  llama: sentencePiece,
};
/** What `tokenizer.ggml.model` may be. */
export const ggufTokenizerKinds: readonly string[] = Object.keys(KINDS);

/** @throws FormatError where the metadata is not a vocabulary, NotBuiltError for kinds of tokenizers that are not built */
export function ggufTokenizer(metadata: GgufMetadata): GgufTokenizer {
  const kind = readOne(metadata, "tokenizer.ggml.model", text);
  if (kind === undefined)
    throw new FormatError('GGUF metadata: "tokenizer.ggml.model" is missing: the file has no tokenizer');
  const make = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  if (make === undefined)
    throw new LowrankError(
      "NotBuiltError",
      `GGUF: a tokenizer of kind ${quote(kind)} is not built; there are ${ggufTokenizerKinds.join(", ")}`,
    );
  const vocabulary = readVocabulary(metadata);
  const parts = make(metadata, vocabulary);
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: addedTokens(vocabulary),
    ...parts,
  };
  return { tokenizer, config: configOf(metadata, vocabulary) };
}

/** What a tokenizer_config.json would say: names of special tokens, and the chat template. @throws FormatError as `ggufTokenizer` does */
export function ggufTokenizerConfig(metadata: GgufMetadata): Record<string, unknown> {
  return configOf(metadata, readVocabulary(metadata));
}

function readVocabulary(metadata: GgufMetadata): Vocabulary {
  const tokens = readOne(metadata, "tokenizer.ggml.tokens", listOf(text));
  if (tokens === undefined) throw new FormatError('GGUF metadata: "tokenizer.ggml.tokens" is missing');
  const types = readOne(metadata, "tokenizer.ggml.token_type", i32s) ?? new Int32Array(tokens.length).fill(NORMAL);
  requireLength("token_type", types, tokens);
  const ids = new Map<string, number>();
  for (const [id, token] of tokens.entries()) {
    if (ids.has(token))
      throw new FormatError(`GGUF metadata: the token ${quote(token)} has two ids, ${ids.get(token)} and ${id}`);
    ids.set(token, id);
  }
  return { tokens, types, ids };
}

function requireLength(key: string, values: ArrayLike<number>, tokens: readonly string[]): void {
  if (values.length !== tokens.length)
    throw new FormatError(
      `GGUF metadata: "tokenizer.ggml.${key}" has ${values.length} values for ${tokens.length} tokens`,
    );
}

/** Pieces that are cut out of a text before all others. */
function addedTokens({ tokens, types }: Vocabulary): object[] {
  return tokens.flatMap((content, id) => {
    const type = types[id];
    if (type !== CONTROL && type !== UNKNOWN && type !== USER_DEFINED) return [];
    const special = type !== USER_DEFINED;
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });
}

function byteLevel(metadata: GgufMetadata, vocabulary: Vocabulary): object {
  const merges = readOne(metadata, "tokenizer.ggml.merges", listOf(text));
  if (merges === undefined) throw new FormatError('GGUF metadata: "tokenizer.ggml.merges" is missing');
  const pre = readOne(metadata, "tokenizer.ggml.pre", text) ?? "default";
  const { split, normalizer, ignoreMerges } = splitOf(pre);
  const level = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false };
  return {
    normalizer,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        ...split.map((regex) => ({ type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false })),
        level,
      ],
    },
    post_processor: { type: "Sequence", processors: [level, template(metadata, vocabulary, false)] },
    decoder: level,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: ignoreMerges,
      vocab: Object.fromEntries(vocabulary.ids),
      merges,
    },
  };
}

function sentencePiece(metadata: GgufMetadata, vocabulary: Vocabulary): object {
  const { tokens, types, ids } = vocabulary;
  const scores = readOne(metadata, "tokenizer.ggml.scores", f32s);
  if (scores === undefined) throw new FormatError('GGUF metadata: "tokenizer.ggml.scores" is missing');
  requireLength("scores", scores, tokens);
  const prefix = readOne(metadata, "tokenizer.ggml.add_space_prefix", flag) ?? true;
  const unknown = readOne(metadata, "tokenizer.ggml.unknown_token_id", whole(0, tokens.length - 1)) ?? 0;
  const replaced = { type: "Replace", pattern: { String: " " }, content: SPACE };
  const strip = { type: "Strip", content: " ", start: 1, stop: 0 };
  return {
    normalizer: prefix ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: SPACE }, replaced] } : replaced,
    pre_tokenizer: null,
    post_processor: template(metadata, vocabulary, true),
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: SPACE }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(prefix ? [strip] : []),
      ],
    },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: tokens[unknown],
      fuse_unk: true,
      byte_fallback: Array.prototype.includes.call(types, BYTE),
      ignore_merges: false,
      vocab: Object.fromEntries(ids),
      merges: mergesByScore(tokens, scores, ids, (id) => types[id] === NORMAL),
    },
  };
}

/** Which tokens stand before and behind a text. @param begins whether one stands before where the file says nothing */
function template(metadata: GgufMetadata, { tokens }: Vocabulary, begins: boolean): object {
  const { bos_token_id: bos, eos_token_id: eos } = tokenIds(metadata);
  const adds = (key: string, fallback: boolean): boolean =>
    readOne(metadata, `tokenizer.ggml.${key}`, flag) ?? fallback;
  const before = bos !== undefined && adds("add_bos_token", begins) ? [bos] : [];
  const behind = eos !== undefined && adds("add_eos_token", false) ? [eos] : [];
  const named = (id: number): string =>
    tokens[id] ?? raise(`GGUF metadata: there is no token ${id}; the vocabulary has ${tokens.length}`);
  const around = (id: "A" | "B", type: number): object[] => [
    ...before.map((token) => ({ SpecialToken: { id: named(token), type_id: type } })),
    { Sequence: { id, type_id: type } },
    ...behind.map((token) => ({ SpecialToken: { id: named(token), type_id: type } })),
  ];
  return {
    type: "TemplateProcessing",
    single: around("A", 0),
    pair: [...around("A", 0), ...around("B", 1)],
    special_tokens: Object.fromEntries(
      [...before, ...behind].map((id) => [named(id), { id: named(id), ids: [id], tokens: [named(id)] }]),
    ),
  };
}

function raise(message: string): never {
  throw new FormatError(message);
}

/** Names of special tokens, and the chat template. */
function configOf(metadata: GgufMetadata, { tokens }: Vocabulary): Record<string, unknown> {
  const { bos_token_id: bos, eos_token_id: eos, pad_token_id: pad } = tokenIds(metadata);
  const named = (key: string, id: number | undefined): object =>
    id === undefined || tokens[id] === undefined ? {} : { [key]: tokens[id] };
  const chat = readOne(metadata, "tokenizer.chat_template", text);
  return {
    ...named("bos_token", bos),
    ...named("eos_token", eos),
    ...named("pad_token", pad),
    ...(chat === undefined ? {} : { chat_template: chat }),
  };
}
