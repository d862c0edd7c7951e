/** Tokenizers of folders that have a vocabulary and no tokenizer.json: what transformers makes of the files for these classes. */
import { LowrankError, quote, type Files } from "@lowrank/tensor";
import { parseJson } from "@lowrank/tensor/check";
import { specialTokensOf, type TokenizerConfig } from "./file.ts";
import type { SpecialRole } from "./options.ts";
import { QWEN_SPLIT } from "./split-patterns.ts";

/** Parsed contents of a tokenizer.json, and the special tokens that the class has where no file names them. */
interface Made {
  readonly tokenizer: object;
  readonly config: TokenizerConfig;
}
type Roles = Partial<Record<SpecialRole, string>>;
interface Kind {
  readonly files: readonly string[];
  readonly roles: Roles;
  make(texts: readonly string[], roles: Roles, config: TokenizerConfig, where: string): object;
}

const added = (content: string, id: number): object => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});
const idIn = (vocab: Readonly<Record<string, number>>, token: string, where: string): number => {
  if (Object.hasOwn(vocab, token)) return vocab[token]!;
  throw new LowrankError(
    "FormatError",
    `${where}: the vocabulary has no ${quote(token)}; name the special token that it has instead in tokenizer_config.json`,
  );
};

const wordPiece: Kind = {
  files: ["vocab.txt"],
  roles: { unk: "[UNK]", sep: "[SEP]", pad: "[PAD]", cls: "[CLS]", mask: "[MASK]" },
  make([lines], roles, config, where) {
    const tokens = lines!.split("\n");
    if (tokens.at(-1) === "") tokens.pop();
    const vocab = Object.fromEntries(tokens.map((token, id) => [token.replace(/\r$/u, ""), id]));
    const [cls, sep] = [roles.cls!, roles.sep!].map((token) => [token, idIn(vocab, token, where)] as const);
    const lowercase = config.do_lower_case ?? true;
    return {
      added_tokens: [...new Set(Object.values(roles))].map((token) => added(token, idIn(vocab, token, where))),
      normalizer: {
        type: "BertNormalizer",
        clean_text: true,
        handle_chinese_chars: config.tokenize_chinese_chars ?? true,
        strip_accents: config.strip_accents ?? null,
        lowercase,
      },
      pre_tokenizer: { type: "BertPreTokenizer" },
      post_processor: { type: "BertProcessing", cls, sep },
      decoder: { type: "WordPiece", prefix: "##", cleanup: true },
      model: {
        type: "WordPiece",
        unk_token: roles.unk,
        continuing_subword_prefix: "##",
        max_input_chars_per_word: 100,
        vocab,
      },
    };
  },
};

const byteLevel = (prefixed: boolean, regex = true): object => ({
  type: "ByteLevel",
  add_prefix_space: prefixed,
  trim_offsets: true,
  use_regex: regex,
});
const merges = (text: string): string[] =>
  text.split(/\r?\n/u).filter((line) => line !== "" && !line.startsWith("#version"));

function bytePair(
  roles: Roles,
  parts: (vocab: Readonly<Record<string, number>>, roles: Roles, config: TokenizerConfig, where: string) => object,
): Kind {
  return {
    files: ["vocab.json", "merges.txt"],
    roles,
    make([json, lines], given, config, where) {
      const vocab = parseJson(json!, `${where}/vocab.json`) as Record<string, number>;
      return {
        decoder: byteLevel(false),
        model: { type: "BPE", vocab, merges: merges(lines!) },
        ...parts(vocab, given, config, where),
      };
    },
  };
}
const END = "<|endoftext|>";
const gpt2 = bytePair({ unk: END, bos: END, eos: END }, (_, __, config) => {
  const bytes = byteLevel(config.add_prefix_space ?? false);
  return { pre_tokenizer: bytes, post_processor: byteLevel(false) };
});
const roberta = bytePair(
  { unk: "<unk>", bos: "<s>", eos: "</s>", sep: "</s>", pad: "<pad>", cls: "<s>", mask: "<mask>" },
  (vocab, roles, config, where) => {
    const [cls, sep] = [roles.cls!, roles.sep!].map((token) => [token, idIn(vocab, token, where)] as const);
    const prefixed = config.add_prefix_space ?? false;
    return {
      added_tokens: [...new Set(Object.values(roles))].map((token) => added(token, idIn(vocab, token, where))),
      pre_tokenizer: byteLevel(prefixed),
      post_processor: { type: "RobertaProcessing", cls, sep, trim_offsets: true, add_prefix_space: prefixed },
    };
  },
);
const qwen2 = bytePair({ unk: END, eos: END, pad: END }, () => ({
  normalizer: { type: "NFC" },
  pre_tokenizer: {
    type: "Sequence",
    pretokenizers: [
      { type: "Split", pattern: { Regex: QWEN_SPLIT }, behavior: "Isolated", invert: false },
      byteLevel(false, false),
    ],
  },
  post_processor: byteLevel(false),
}));

/** By the class that tokenizer_config.json names (without `Fast`), else by config.json's `model_type`. */
const KINDS: Readonly<Record<string, Kind>> = {
  BertTokenizer: wordPiece,
  bert: wordPiece,
  DistilBertTokenizer: wordPiece,
  distilbert: wordPiece,
  GPT2Tokenizer: gpt2,
  gpt2,
  RobertaTokenizer: roberta,
  roberta,
  Qwen2Tokenizer: qwen2,
  qwen2,
  qwen3: qwen2,
};

const ADVICE = "make one in Python: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)";
const OTHERS = ["tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.txt", "vocab.json"];

/** @throws LowrankError (FileError) where the folder has no tokenizer.json and nothing that one could be made of here */
export async function fromVocabularyFiles(files: Files, config: TokenizerConfig): Promise<Made> {
  const { where } = files;
  const model = (await files.exists("config.json"))
    ? (parseJson(await files.text("config.json"), `${where}/config.json`) as { readonly model_type?: unknown } | null)
    : null;
  const name = [config.tokenizer_class?.replace(/Fast$/u, ""), model?.model_type].find(
    (n) => typeof n === "string" && Object.hasOwn(KINDS, n),
  ) as string | undefined;
  const kind = name === undefined ? undefined : KINDS[name];
  const present = await Promise.all((kind?.files ?? []).map((file) => files.exists(file)));
  if (kind === undefined || present.includes(false)) {
    const found = [];
    for (const file of OTHERS) if (await files.exists(file)) found.push(file);
    const said =
      found.length === 0 ? "; copy it next to the model" : `, and ${found.join(", ")} alone will not do; ${ADVICE}`;
    throw new LowrankError(
      "FileError",
      `${where}: ${files.instead?.("tokenizer.json") ?? "there is no tokenizer.json"}${said}`,
    );
  }
  const roles: Roles = { ...kind.roles, ...specialTokensOf(config) };
  const texts = await Promise.all(kind.files.map((file) => files.text(file)));
  const named = Object.fromEntries(Object.entries(roles).map(([role, token]) => [`${role}_token`, token]));
  return { tokenizer: kind.make(texts, roles, config, where), config: { ...named, ...config } };
}
