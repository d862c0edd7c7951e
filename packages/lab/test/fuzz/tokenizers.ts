/** `tokenizer.json` of each kind, and `tokenizer_config.json` beside it. */
import { loadTokenizer, type Tokenizer } from "@lowrank/models";
import { encoder, memory, pick, rawJson, textOf } from "./files.ts";
import type { FuzzFormat } from "./judge.ts";
import { damaged, mutateJson, type Json } from "./mutate.ts";
import { naiveTokenizer } from "./naive-tokenizer.ts";
import { Unjudged } from "./naive-values.ts";
import { BPE, BYTE_FALLBACK, CHARACTER_MAP, UNIGRAM, WORDPIECE } from "./tokenizer-samples.ts";

const TEXTS = ["ab  ﬁ½ 🎬", "hello world. ab", "a b\tab aab é ²", "", "[CLS] a <|end|>b"];

interface Read {
  readonly ids: number[];
  readonly pair: number[];
  readonly text: string;
  readonly size: number;
}
const readings = (tokenizer: Tokenizer | (ReturnType<typeof naiveTokenizer> & { vocabSize?: never })): Read[] =>
  TEXTS.map((text) => {
    const naive = "size" in tokenizer;
    const ids = naive ? tokenizer.encode(text) : tokenizer.encode(text).ids;
    return {
      ids: [...ids],
      pair: [...(naive ? tokenizer.encode(text, "b") : tokenizer.encode(text, { pair: "b" }).ids)],
      text: tokenizer.decode(ids),
      size: naive ? tokenizer.size : tokenizer.vocabSize,
    };
  });

/** Accepted files whose meaning the second reader did not know, and the others; counted for tests. */
export const JUDGED = { known: 0, unknown: 0 };

function tokenizerFormat(name: string, samples: readonly Json[]): FuzzFormat {
  return {
    name,
    // with fewer changes more is taken, and so compared
    draw: (random) =>
      random.integer(2) === 0
        ? encoder.encode(JSON.stringify(mutateJson(pick(random, samples), random, 1)) ?? "null")
        : damaged(pick(random, samples), random),
    read: async (bytes) => readings(await loadTokenizer(memory({ "tokenizer.json": bytes }))),
    senseless(bytes, read: Read[]) {
      let second: Read[];
      try {
        second = readings(naiveTokenizer(rawJson(bytes), CHARACTER_MAP));
      } catch (error) {
        if (!(error instanceof Unjudged)) return `a second reader finds: ${(error as Error).message}`;
        JUDGED.unknown++;
        return undefined;
      }
      JUDGED.known++;
      const at = TEXTS.findIndex((_, i) => JSON.stringify(read[i]) !== JSON.stringify(second[i]));
      return at < 0
        ? undefined
        : `${JSON.stringify(TEXTS[at])} is ${JSON.stringify(second[at])}, and was read as ${JSON.stringify(read[at])}`;
    },
  };
}

export const tokenizerJson: FuzzFormat = tokenizerFormat("tokenizer.json", [WORDPIECE, BPE, BYTE_FALLBACK, UNIGRAM]);
/** One format for each kind. */
export const TOKENIZERS: readonly FuzzFormat[] = [
  tokenizerFormat("WordPiece", [WORDPIECE]),
  tokenizerFormat("byte-level BPE", [BPE]),
  tokenizerFormat("BPE with byte fallback", [BYTE_FALLBACK]),
  tokenizerFormat("Unigram", [UNIGRAM]),
];

const SIDES = ["left", "right"];
const CONFIG: Json = {
  model_max_length: 512,
  truncation_side: "right",
  padding_side: "left",
  clean_up_tokenization_spaces: true,
  tokenizer_class: "BertTokenizer",
  do_lower_case: true,
  strip_accents: null,
  cls_token: "[CLS]",
  pad_token: { content: "[PAD]", lstrip: false },
};

export const tokenizerConfig: FuzzFormat = {
  name: "tokenizer_config.json",
  draw: (random) => damaged(CONFIG, random),
  read: async (bytes) =>
    loadTokenizer(
      memory({ "tokenizer.json": encoder.encode(JSON.stringify(WORDPIECE)), "tokenizer_config.json": bytes }),
    ),
  senseless(bytes, tokenizer: Tokenizer) {
    const said = rawJson(bytes);
    const length = said["model_max_length"] ?? undefined;
    const limit = typeof length === "number" && length < 1e9 ? length : undefined;
    if (tokenizer.maxLength !== limit) return `the longest input is ${tokenizer.maxLength}`;
    if (limit !== undefined && !(Number.isSafeInteger(limit) && limit > 0)) return `the longest input is ${limit}`;
    const side = (key: string): unknown => said[key] ?? "right";
    for (const key of ["padding_side", "truncation_side"])
      if (!SIDES.includes(side(key) as string)) return `${key} is ${textOf(bytes)}`;
    const batch = tokenizer.encodeBatch(["a", "hello world"], { padding: "longest", padToken: "[PAD]" });
    const padded = side("padding_side") === "left" ? "0,2,5,3" : "2,5,3,0";
    if (batch.encodings[0]!.ids.join() !== padded) return `it pads ${batch.encodings[0]!.ids.join()}`;
    const cut = tokenizer.encode("hello world", { maxLength: 3 }).ids.join();
    if (cut !== (side("truncation_side") === "left" ? "2,10,3" : "2,9,3")) return `it cuts ${cut}`;
    for (const role of ["bos", "eos", "unk", "sep", "pad", "cls", "mask"] as const) {
      const token = said[`${role}_token`] ?? undefined;
      const content = typeof token === "object" ? (token as { content: unknown }).content : token;
      if (tokenizer.specialTokens[role] !== content) return `${role}_token is ${tokenizer.specialTokens[role]}`;
    }
    // what the tokenizer.json beside it says
    for (const [key, is] of [
      ["do_lower_case", true],
      ["tokenize_chinese_chars", true],
    ] as const)
      if ((said[key] ?? is) !== is) return `${key} is ${JSON.stringify(said[key])}`;
    return tokenizer.encode("Hello world").ids.join() === "2,9,10,3" ? undefined : "it changed the tokens";
  },
};
