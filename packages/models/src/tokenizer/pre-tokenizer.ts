/** Pre-tokenizers: where a normalized text is cut before the model sees it. Names and rules are those of Hugging Face's `tokenizers`. */
import { quote } from "@lowrank/tensor";
import { flag, listOf, oneOf, optional, refuse, type Rule, type Rules } from "@lowrank/tensor/check";
import { prepend, type AlignedText } from "./aligned-text.ts";
import { toByteCharacters } from "./byte-level.ts";
import { BERT_WORD, PUNCTUATION, WORD_CLASS } from "./characters.ts";
import { inTurn } from "./in-turn.ts";
import { METASPACE_RULES, metaspace, type MetaspaceOptions } from "./metaspace.ts";
import { part, partOf, type Part } from "./parts.ts";
import { literal, searched, type ReplaceOptions } from "./replace.ts";
import { GPT2_SPLIT, knownSplit } from "./split-patterns.ts";
import { split, SPLIT_BEHAVIOURS, type SplitBehaviour } from "./split.ts";

/** Pieces of one piece, none of them empty. */
export type PreTokenizer = (text: AlignedText) => AlignedText[];

export interface ByteLevelOptions {
  add_prefix_space: boolean;
  trim_offsets: boolean;
  use_regex: boolean | undefined;
}
/** The same object is a pre-tokenizer, a post-processor and a decoder, each of which reads what concerns it. */
export const BYTE_LEVEL_RULES: Rules<ByteLevelOptions> = {
  add_prefix_space: flag,
  trim_offsets: flag,
  use_regex: optional(flag),
};

interface SplitOptions {
  pattern: ReplaceOptions["pattern"];
  behavior: SplitBehaviour;
  invert: boolean;
}

/** Nothing is found; the empty string is not, either. */
const NOWHERE = /(?!)/gu;
const behaviour: Rule<SplitBehaviour> = oneOf(...SPLIT_BEHAVIOURS);
const WORDS = new RegExp(`[${WORD_CLASS}]+|[^${WORD_CLASS}\\p{White_Space}]+`, "gu");
const ALL_BUT_SPACE = /\P{White_Space}+/gu;

function byteLevel({ add_prefix_space, use_regex = true }: ByteLevelOptions): PreTokenizer {
  return (text) => {
    // the space has the place of the character that it stands before
    const prefixed = add_prefix_space && !text.text.startsWith(" ") ? prepend(text, " ") : text;
    return (use_regex ? split(prefixed, GPT2_SPLIT, "Isolated") : [prefixed]).map(toByteCharacters);
  };
}

/** What sequences do with all pieces at once. */
const RUNS = new WeakMap<PreTokenizer, (pieces: AlignedText[]) => AlignedText[]>();

const PRE_TOKENIZERS: Readonly<Record<string, Part<PreTokenizer>>> = {
  BertPreTokenizer: part<object, PreTokenizer>({}, () => (text) => split(text, BERT_WORD, "Removed", true)),
  ByteLevel: part<ByteLevelOptions, PreTokenizer>(BYTE_LEVEL_RULES, byteLevel),
  Digits: part<{ individual_digits: boolean }, PreTokenizer>(
    { individual_digits: flag },
    // whatever is numeric: ², ½ and Ⅷ as well
    ({ individual_digits }) =>
      (text) =>
        split(text, individual_digits ? /\p{N}/gu : /\p{N}+/gu, "Isolated"),
  ),
  Punctuation: part<{ behavior: SplitBehaviour | undefined }, PreTokenizer>(
    { behavior: optional(behaviour) },
    ({ behavior = "Isolated" }) =>
      (text) =>
        split(text, PUNCTUATION, behavior),
  ),
  Split: part<SplitOptions, PreTokenizer>(
    {
      pattern: searched,
      behavior: behaviour,
      invert: flag,
    },
    ({ pattern, behavior, invert }, at) => {
      const found = "Regex" in pattern ? knownSplit(pattern.Regex) : (literal(pattern.String) ?? NOWHERE);
      if (found === undefined)
        return refuse(
          at,
          `has the split pattern ${quote((pattern as { Regex: string }).Regex)}, which is none of the known ones; only those of GPT-2, GPT-4o, Llama 3 and Qwen are built`,
        );
      return (text) => split(text, found, behavior, invert);
    },
  ),
  Metaspace: part<MetaspaceOptions, PreTokenizer>(METASPACE_RULES, metaspace),
  Whitespace: part<object, PreTokenizer>({}, () => (text) => split(text, WORDS, "Removed", true)),
  WhitespaceSplit: part<object, PreTokenizer>({}, () => (text) => split(text, ALL_BUT_SPACE, "Removed", true)),
  Sequence: part<{ pretokenizers: PreTokenizer[] }, PreTokenizer>(
    {
      pretokenizers: { expects: "a list of pre-tokenizers", read: (value, at) => listOf(preTokenizer).read(value, at) },
    },
    ({ pretokenizers }, at) => {
      const run = inTurn<AlignedText[]>(
        pretokenizers.map((cut) => RUNS.get(cut) ?? ((pieces) => pieces.flatMap(cut))),
        (pieces) => pieces.reduce((sum, piece) => sum + piece.text.length, 0),
        at,
      );
      const cutAll: PreTokenizer = (text) => run([text]);
      RUNS.set(cutAll, run);
      return cutAll;
    },
  ),
};

export const preTokenizer: Rule<PreTokenizer> = partOf("pre-tokenizer", () => PRE_TOKENIZERS);
