/** Normalizers: what is done to a text before it is cut into words. Rules and their order are those of Hugging Face's `tokenizers`. */
import { absent, flag, listOf, type Rule } from "@lowrank/tensor/check";
import { prepend, slice, substitute, type AlignedText } from "./aligned-text.ts";
import { BERT_CONTROL, IDEOGRAPH, NONSPACING_MARK, OTHER_WHITE_SPACE } from "./characters.ts";
import { inTurn } from "./in-turn.ts";
import { normalForm, type NormalForm } from "./normal-forms.ts";
import { part, partOf, type Part } from "./parts.ts";
import { precompiled } from "./precompiled.ts";
import { content, REPLACE_RULES, searchedFor, type ReplaceOptions } from "./replace.ts";

export type Normalizer = (text: AlignedText) => AlignedText;

interface BertOptions {
  clean_text: boolean;
  handle_chinese_chars: boolean;
  strip_accents: boolean | undefined;
  lowercase: boolean;
}

const isAscii = (text: string): boolean => /^[\0-\x7f]*$/.test(text);
const CASED = /[A-Z]|[^\0-\x7f]/gu;

/** Character by character: a final sigma becomes σ as any other (`toLowerCase` of the whole text would look at its neighbours). */
const lowercase: Normalizer = (text) =>
  isAscii(text.text) ? { ...text, text: text.text.toLowerCase() } : substitute(text, CASED, (c) => c.toLowerCase());
const inForm = (form: NormalForm): Part<Normalizer> =>
  part<object, Normalizer>({}, () => (text) => normalForm(text, form));
const nothing = (): string => "";

function bert({ clean_text, handle_chinese_chars, strip_accents, lowercase: lowers }: BertOptions): Normalizer {
  const strips = strip_accents ?? lowers;
  return (from) => {
    let text = from;
    if (clean_text) text = substitute(substitute(text, BERT_CONTROL, nothing), OTHER_WHITE_SPACE, () => " ");
    const ascii = isAscii(text.text);
    if (handle_chinese_chars && !ascii) text = substitute(text, IDEOGRAPH, (c) => ` ${c} `);
    if (strips && !ascii) text = substitute(normalForm(text, "NFD"), NONSPACING_MARK, nothing);
    return lowers ? lowercase(text) : text;
  };
}

/** Control characters that go, and what counts as a space: the rule "nmt" of SentencePiece. */
const NMT_CONTROL = /(?![\0\t\n\f\r\x80-\x8e\x90-\x9e])\p{Cc}/gu;
const NMT_SPACE = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/gu;
const nmt: Normalizer = (text) => substitute(substitute(text, NMT_CONTROL, nothing), NMT_SPACE, () => " ");

function strip({ strip_left, strip_right }: { strip_left: boolean; strip_right: boolean }): Normalizer {
  return (text) => {
    const end = strip_right ? text.text.replace(SPACE_AT_END, "").length : text.text.length;
    const start = strip_left ? SPACE_AT_START.exec(text.text)![0].length : 0;
    return start === 0 && end === text.text.length ? text : slice(text, Math.min(start, end), end);
  };
}
const SPACE_AT_START = /^\p{White_Space}*/u;
/** Looks back, so that a run of spaces within the text is not tried from each of its places. */
const SPACE_AT_END = /(?<!\p{White_Space})\p{White_Space}+$/u;

const NORMALizERS: Readonly<Record<string, Part<Normalizer>>> = {
  BertNormalizer: part<BertOptions, Normalizer>(
    { clean_text: flag, handle_chinese_chars: flag, strip_accents: absent(flag), lowercase: flag },
    bert,
  ),
  NFC: inForm("NFC"),
  NFD: inForm("NFD"),
  NFKC: inForm("NFKC"),
  NFKD: inForm("NFKD"),
  Lowercase: part<object, Normalizer>({}, () => lowercase),
  StripAccents: part<object, Normalizer>({}, () => (text) => substitute(text, /\p{M}/gu, nothing)),
  Nmt: part<object, Normalizer>({}, () => nmt),
  Precompiled: precompiled,
  Prepend: part<{ prepend: string }, Normalizer>(
    { prepend: content },
    ({ prepend: put }) =>
      (from) =>
        prepend(from, put),
  ),
  Replace: part<ReplaceOptions, Normalizer>(REPLACE_RULES, (options, at) => {
    const pattern = searchedFor(options, at);
    return (from) => (pattern === undefined ? from : substitute(from, pattern, () => options.content));
  }),
  Strip: part<{ strip_left: boolean; strip_right: boolean }, Normalizer>(
    { strip_left: flag, strip_right: flag },
    strip,
  ),
  Sequence: part<{ normalizers: Normalizer[] }, Normalizer>(
    { normalizers: { expects: "a list of normalizers", read: (value, at) => listOf(normalizer).read(value, at) } },
    ({ normalizers }, at) => inTurn(normalizers, ({ text }) => text.length, at),
  ),
};

export const normalizer: Rule<Normalizer> = partOf("normalizer", () => NORMALizERS);
