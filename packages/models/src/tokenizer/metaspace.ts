/** `Metaspace`: spaces as a character that can be seen, U+2581 for most; a pre-tokenizer and a decoder. */
import { absent, flag, leaf, oneOf, refuse, type Place, type Rules } from "@lowrank/tensor/check";
import { originOf, prepend, substitute, type AlignedText } from "./aligned-text.ts";
import { literal } from "./replace.ts";
import { split as splitAt } from "./split.ts";

const SCHEMES = ["always", "first", "never"] as const;

export interface MetaspaceOptions {
  replacement: string;
  /** Where one is put before a text that does not start with one: before each piece, only at the start of the input, nowhere. */
  prepend_scheme: (typeof SCHEMES)[number] | undefined;
  split: boolean | undefined;
  /** What files of before 2024 have. */
  add_prefix_space: boolean | undefined;
  str_rep: string | undefined;
}

const character = leaf<string>("one character", (v) => typeof v === "string" && [...v].length === 1);
export const METASPACE_RULES: Rules<MetaspaceOptions> = {
  replacement: character,
  prepend_scheme: absent(oneOf(...SCHEMES)),
  split: absent(flag),
  add_prefix_space: absent(flag),
  str_rep: absent(character),
};

function schemeOf({ prepend_scheme, add_prefix_space }: MetaspaceOptions, at: Place): (typeof SCHEMES)[number] {
  if (add_prefix_space !== false) return prepend_scheme ?? "always";
  if (prepend_scheme !== undefined && prepend_scheme !== "never")
    return refuse(
      at,
      `has "add_prefix_space": false and "prepend_scheme": "${prepend_scheme}", which contradict each other`,
    );
  return "never";
}

export function metaspace(options: MetaspaceOptions, at: Place): (text: AlignedText) => AlignedText[] {
  const { replacement, split = true } = options;
  const scheme = schemeOf(options, at);
  const mark = literal(replacement)!;
  return (from) => {
    let text = substitute(from, / /gu, () => replacement);
    const puts = scheme === "always" || (scheme === "first" && originOf(text, 0, text.text.length)[0] === 0);
    if (puts && !text.text.startsWith(replacement)) text = prepend(text, replacement);
    return split ? splitAt(text, mark, "MergedWithNext") : [text];
  };
}

/** The first token loses what was put before it. */
export function fromMetaspace(options: MetaspaceOptions, at: Place): (tokens: readonly string[]) => string[] {
  const { replacement } = options;
  const keeps = schemeOf(options, at) === "never";
  return (tokens) => tokens.map((token, i) => token.replaceAll(replacement, i === 0 && !keeps ? "" : " "));
}
