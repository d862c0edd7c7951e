/** Normalizers: what is done to a text before it is cut into words. Rules and their order are those of Hugging Face's `tokenizers`. */
import { absent, flag, listOf, type Rule } from "@lowrank/tensor/check";
import { substitute, type AlignedText } from "./aligned-text.ts";
import { BERT_CONTROL, IDEOGRAPH, NONSPACING_MARK, OTHER_WHITE_SPACE } from "./characters.ts";
import { normalForm, type NormalForm } from "./normal-forms.ts";
import { part, partOf, type Part } from "./parts.ts";

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
  Sequence: part<{ normalizers: Normalizer[] }, Normalizer>(
    { normalizers: { expects: "a list of normalizers", read: (value, at) => listOf(normalizer).read(value, at) } },
    ({ normalizers }) =>
      (text) =>
        normalizers.reduce((t, normalize) => normalize(t), text),
  ),
};

export const normalizer: Rule<Normalizer> = partOf("normalizer", () => NORMALizERS);
