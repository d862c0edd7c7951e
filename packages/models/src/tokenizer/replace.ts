/** `Replace`, which is a normalizer and a decoder: one string for another, or for what a few patterns find. */
import { quote } from "@lowrank/tensor";
import { anyOf, fields, refuse, text as string, type Place, type Rule, type Rules } from "@lowrank/tensor/check";

export interface ReplaceOptions {
  pattern: { String: string } | { Regex: string };
  content: string;
}

/** A string, or an Oniguruma pattern. */
export const searched: Rule<{ String: string } | { Regex: string }> = anyOf(
  fields<{ String: string }>({ String: string }),
  fields<{ Regex: string }>({ Regex: string }),
);

/** What is put in for something, or before a text; in files one or two characters. */
const LONGEST_CONTENT = 16;
export const content: Rule<string> = {
  expects: `a string of at most ${LONGEST_CONTENT} characters`,
  read: (value, at) =>
    typeof value === "string" && value.length <= LONGEST_CONTENT
      ? value
      : refuse(at, `must be a string of at most ${LONGEST_CONTENT} characters, got ${quote(value)}`),
};
export const REPLACE_RULES: Rules<ReplaceOptions> = { pattern: searched, content };

/** Those that files have; like split patterns, others could mean something else here or take any time. */
const KNOWN: Readonly<Record<string, RegExp>> = {
  // T5, XLM-R, ALBERT and whatever else comes from SentencePiece
  " {2,}": / {2,}/gu,
  // CLIP
  "\\s+": /\p{White_Space}+/gu,
};

/** A string as a pattern that finds it; undefined for the empty one, which is nowhere. */
export function literal(text: string): RegExp | undefined {
  return text === ""
    ? undefined
    : new RegExp(text.replace(/[\\^$.*+?()[\]{}|/-]/gu, "\\$&").replaceAll("\\-", "\\x2d"), "gu");
}

/** What the options look for; undefined where it is nowhere. */
export function searchedFor({ pattern }: ReplaceOptions, at: Place): RegExp | undefined {
  if ("String" in pattern) return literal(pattern.String);
  if (Object.hasOwn(KNOWN, pattern.Regex)) return KNOWN[pattern.Regex]!;
  return refuse(
    at,
    `replaces the pattern ${quote(pattern.Regex)}, which is none of the known ones: ${Object.keys(KNOWN).map(quote).join(", ")}`,
  );
}
