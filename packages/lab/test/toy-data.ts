/** A data folder of a few lines in the layout of the real one, with a tokenizer of a dozen words. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const VOCABULARY = [
  "[PAD]",
  "[UNK]",
  "[CLS]",
  "[SEP]",
  "[MASK]",
  "a",
  "fine",
  "film",
  "dull",
  "and",
  "long",
  "##s",
  "not",
  "good",
  "bad",
  ".",
];

export function writeToyData(folder: string): string {
  mkdirSync(join(folder, "sst2-glue"), { recursive: true });
  mkdirSync(join(folder, "bert-base-uncased-tokenizer"), { recursive: true });
  const good = ["a fine film", "fine and good", "a good long film", "not bad ."];
  const bad = ["a dull film", "dull and long and bad films", "bad .", "not good"];
  const rows = [...good.map((text) => `${text}\t1`), ...bad.map((text) => `${text}\t0`)];
  const table = (lines: readonly string[]): string => `sentence\tlabel\n${lines.join("\n")}\n`;
  writeFileSync(join(folder, "sst2-glue", "train.tsv"), table([...rows, ...rows, ...rows]));
  writeFileSync(
    join(folder, "sst2-glue", "dev.tsv"),
    table(["a fine film\t1", "dull and long and bad and not good films\t0", "a bad film .\t0", "good\t1"]),
  );
  mkdirSync(join(folder, "public-domain-books"), { recursive: true });
  const prose = "A fine film . Not a dull film , and long .\n\nGood films and bad films .\n\n";
  writeFileSync(join(folder, "public-domain-books", "train-00.txt"), prose.repeat(20));
  writeFileSync(join(folder, "public-domain-books", "valid.txt"), prose.repeat(5));
  const tokenizer = {
    version: "1.0",
    added_tokens: VOCABULARY.slice(0, 5).map((content, id) => ({
      id,
      content,
      special: true,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
    })),
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: null,
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(VOCABULARY.map((word, id) => [word, id])),
    },
  };
  writeFileSync(join(folder, "bert-base-uncased-tokenizer", "tokenizer.json"), JSON.stringify(tokenizer));
  return folder;
}
