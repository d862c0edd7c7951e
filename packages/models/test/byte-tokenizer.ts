/** A tokenizer whose tokens are bytes, and one that ends texts. */
import { parseTokenizer, type Tokenizer } from "../src/index.ts";

/** GPT-2's spelling of bytes. */
function spelt(byte: number): string {
  const plain = (b: number): boolean => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  if (plain(byte)) return String.fromCodePoint(byte);
  let hidden = 0;
  for (let b = 0; b < byte; b++) if (!plain(b)) hidden++;
  return String.fromCodePoint(256 + hidden);
}

/** Ids are bytes, and 256 is `<end>`. */
export function byteTokenizer(): Tokenizer {
  const level = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false };
  const end = { id: 256, content: "<end>", single_word: false, lstrip: false, rstrip: false, normalized: false };
  const file = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [{ ...end, special: true }],
    normalizer: null,
    pre_tokenizer: level,
    post_processor: null,
    decoder: level,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(Array.from({ length: 256 }, (_, byte) => [spelt(byte), byte])),
      merges: [],
    },
  };
  return parseTokenizer(file, { eos_token: "<end>" });
}
