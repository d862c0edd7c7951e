/** Normalisers: what is done to a text before it is cut into words. Rules and their order are those of Hugging Face's `tokenizers`. */
import { absent, flag, listOf, type Rule } from "@lowrank/tensor/check";
import { substitute, type AlignedText } from "./aligned-text.ts";
import { BERT_CONTROL, IDEOGRAPH, NONSPACING_MARK, OTHER_WHITE_SPACE } from "./characters.ts";
import { normalForm, type NormalForm } from "./normal-forms.ts";
import { part, partOf, type Part } from "./parts.ts";

export type Normaliser = (text: AlignedText) => AlignedText;

interface BertOptions {
  clean_text: boolean;
  handle_chinese_chars: boolean;
  strip_accents: boolean | undefined;
  lowercase: boolean;
}

const isAscii = (text: string): boolean => /^[\0-\x7f]*$/.test(text);
const CASED = /[A-Z]|[^\0-\x7f]/gu;

/** Character by character: a final sigma becomes σ as any other (`toLowerCase` of the whole text would look at its neighbours). */
const lowercase: Normaliser = (text) =>
  isAscii(text.text) ? { ...text, text: text.text.toLowerCase() } : substitute(text, CASED, (c) => c.toLowerCase());
const inForm = (form: NormalForm): Part<Normaliser> =>
  part<object, Normaliser>({}, () => (text) => normalForm(text, form));
const nothing = (): string => "";

function bert({ clean_text, handle_chinese_chars, strip_accents, lowercase: lowers }: BertOptions): Normaliser {
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

const NORMALISERS: Readonly<Record<string, Part<Normaliser>>> = {
  BertNormalizer: part<BertOptions, Normaliser>(
    { clean_text: flag, handle_chinese_chars: flag, strip_accents: absent(flag), lowercase: flag },
    bert,
  ),
  NFC: inForm("NFC"),
  NFD: inForm("NFD"),
  NFKC: inForm("NFKC"),
  NFKD: inForm("NFKD"),
  Lowercase: part<object, Normaliser>({}, () => lowercase),
  StripAccents: part<object, Normaliser>({}, () => (text) => substitute(text, /\p{M}/gu, nothing)),
  Sequence: part<{ normalizers: Normaliser[] }, Normaliser>(
    { normalizers: { expects: "a list of normalizers", read: (value, at) => listOf(normaliser).read(value, at) } },
    ({ normalizers }) =>
      (text) =>
        normalizers.reduce((t, normalise) => normalise(t), text),
  ),
};

export const normaliser: Rule<Normaliser> = partOf("normalizer", () => NORMALISERS);
