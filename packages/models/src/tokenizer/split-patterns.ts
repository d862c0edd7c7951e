/**
 * The split patterns that tokenizers in the wild use, recognized by their text and written for JavaScript. They look ahead, which no linear
 * matcher does; each of these takes linear time because its alternatives consume what they have read. A pattern from a file that is
 * not here is refused by name: it could take exponential time, or mean something else in Oniguruma's syntax.
 *
 * `\s` is Unicode's White_Space there; `(?i:'s)` also takes ſ (U+017F) for s.
 */

/** `(?i:'s|'t|'re|'ve|'m|'ll|'d)`. */
const CONTRACTION = "'(?:[sS\\u017ftTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])";
/** `\s` and `\S` inside and outside a class. */
const SPACES = "\\s+(?!\\S)|\\s+";

const inJavaScript = (pattern: string): RegExp =>
  new RegExp(pattern.replaceAll("\\s", "\\p{White_Space}").replaceAll("\\S", "\\P{White_Space}"), "gu");

const GPT2 = inJavaScript(`'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|${SPACES}`);
/** cl100k's rule with `digits` digits a piece, and its line ends. */
const llama = (digits: string, lineEnds: string): RegExp =>
  inJavaScript(
    `${CONTRACTION}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${lineEnds}|${SPACES}`,
  );
const UPPER = "\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}";
const LOWER = "\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}";
const O200K = inJavaScript(
  `[^\\r\\n\\p{L}\\p{N}]?[${UPPER}]*[${LOWER}]+(?:${CONTRACTION})?|[^\\r\\n\\p{L}\\p{N}]?[${UPPER}]+[${LOWER}]*(?:${CONTRACTION})?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|${SPACES}`,
);

/** What `ByteLevel` with `use_regex` splits by. */
export const GPT2_SPLIT: RegExp = GPT2;

/** As files of Qwen 2 to 3 spell theirs. */
export const QWEN_SPLIT: string = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

const KNOWN: Readonly<Record<string, RegExp>> = {
  // GPT-2, RoBERTa, Phi-2
  [String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`]: GPT2,
  [String.raw`'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`]: GPT2,
  // Llama 3
  [String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`]:
    llama("\\p{N}{1,3}", "\\s*[\\r\\n]+"),
  [QWEN_SPLIT]: llama("\\p{N}", "\\s*[\\r\\n]+"),
  // GPT-4o, Phi-4, Llama 4
  [String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`]:
    O200K,
};

/** The known pattern spelt so in files, or undefined. */
export function knownSplit(text: string): RegExp | undefined {
  return Object.hasOwn(KNOWN, text) ? KNOWN[text] : undefined;
}
