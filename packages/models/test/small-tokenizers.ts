/** Two tokenizers of a few tokens, as tokenizer.json holds them. */

const special = (id: number, content: string): object => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});
const placed = (id: string, type_id: number): object =>
  id.length === 1 ? { Sequence: { id, type_id } } : { SpecialToken: { id, type_id } };

const WORDS = [
  "[PAD]",
  "[UNK]",
  "[CLS]",
  "[SEP]",
  "[MASK]",
  "a",
  "good",
  "film",
  "##s",
  "##ly",
  "b",
  "##b",
  "é",
  "σ",
  ".",
  "1",
];

/** WordPiece with BERT's rules. */
export const WORD_PIECE_FILE: object = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: WORDS.slice(0, 5).map((word, id) => special(id, word)),
  normalizer: {
    type: "BertNormalizer",
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: false,
    lowercase: true,
  },
  pre_tokenizer: { type: "BertPreTokenizer" },
  post_processor: {
    type: "TemplateProcessing",
    single: [placed("[CLS]", 0), placed("A", 0), placed("[SEP]", 0)],
    pair: [placed("[CLS]", 0), placed("A", 0), placed("[SEP]", 0), placed("B", 1), placed("[SEP]", 1)],
    special_tokens: {
      "[CLS]": { id: "[CLS]", ids: [2], tokens: ["[CLS]"] },
      "[SEP]": { id: "[SEP]", ids: [3], tokens: ["[SEP]"] },
    },
  },
  decoder: { type: "WordPiece", prefix: "##", cleanup: false },
  model: {
    type: "WordPiece",
    unk_token: "[UNK]",
    continuing_subword_prefix: "##",
    max_input_chars_per_word: 100,
    vocab: Object.fromEntries(WORDS.map((word, id) => [word, id])),
  },
};

/** All 256 bytes as GPT-2 writes them, in the order of the bytes. */
const BYTES: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, b) =>
    String.fromCharCode((b > 0x20 && b < 0x7f) || (b > 0xa0 && b !== 0xad) ? b : next++),
  );
})();
const others = BYTES.filter((c) => !["a", "b"].includes(c));
const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: true };

/** Byte-level BPE with one merge; nothing is added around a text. */
export const BYTE_LEVEL_FILE: object = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: [special(0, "<|endoftext|>")],
  normalizer: null,
  pre_tokenizer: byteLevel,
  post_processor: byteLevel,
  decoder: byteLevel,
  model: {
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    vocab: Object.fromEntries(["<|endoftext|>", "a", "b", "ab", ...others].map((token, id) => [token, id])),
    merges: ["a b"],
  },
};
