/** What the second reader of tokenizers does to a text before and behind its model. */
import { bool, list, need, record, str, typed, Unjudged, type Raw } from "./naive-values.ts";

/** The sample's map; others are bytes that only their own reader understands. */
const MAPPED: Readonly<Record<string, string>> = { ﬁ: "fi", "½": "1⁄2" };

function searched(part: Raw): RegExp | string {
  const pattern = record(part["pattern"]);
  if ("String" in pattern) return str(pattern["String"]);
  const regex = str(pattern["Regex"]);
  if (regex === " {2,}") return / {2,}/gu;
  return need(regex === "\\s+", "a pattern") && /\p{White_Space}+/gu;
}
export function replaced(text: string, part: Raw): string {
  const pattern = searched(part);
  const by = str(part["content"]);
  if (pattern === "") return text;
  return typeof pattern === "string" ? text.split(pattern).join(by) : text.replace(pattern, () => by);
}

export function normalized(text: string, part: Raw, map: string): string {
  const kept = (test: (c: string) => boolean): string => [...text].filter(test).join("");
  switch (typed(part)) {
    case "Sequence":
      return list(part["normalizers"]).reduce<string>((t, n) => normalized(t, record(n), map), text);
    case "BertNormalizer": {
      const lower = bool(part["lowercase"]);
      const strips = part["strip_accents"] ?? lower;
      let t = text;
      if (bool(part["clean_text"]))
        t = kept((c) => c !== "\0" && c !== "\ufffd" && (/[\t\n\r]/.test(c) || !/[\p{Cc}\p{Cf}\p{Co}]/u.test(c)));
      if (bool(part["clean_text"])) t = t.replace(/\p{White_Space}/gu, " ");
      bool(part["handle_chinese_chars"]);
      if (bool(strips)) t = t.normalize("NFD").replace(/\p{Mn}/gu, "");
      return lower ? t.toLowerCase() : t;
    }
    case "Prepend":
      return text === "" ? "" : str(part["prepend"]) + text;
    case "Replace":
      return replaced(text, part);
    case "Strip": {
      const left = bool(part["strip_left"]) ? text.replace(/^\p{White_Space}+/u, "") : text;
      return bool(part["strip_right"]) ? left.replace(/\p{White_Space}+$/u, "") : left;
    }
    case "Nmt":
      return text.replace(/[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/gu, " ");
    case "Precompiled":
      if (str(part["precompiled_charsmap"]) !== map) throw new Unjudged();
      return [...text].map((c) => MAPPED[c] ?? c).join("");
    case "Lowercase":
      return text.toLowerCase();
    default:
      return need(false, "a normalizer") as never;
  }
}

export const ENCODER: TextEncoder = new TextEncoder();
/** Bytes as GPT-2 writes them. */
export const BYTE_CHARACTERS: readonly string[] = (() => {
  const plain = (b: number): boolean => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  return Array.from({ length: 256 }, (_, b) =>
    String.fromCodePoint(plain(b) ? b : 256 + Array.from({ length: b }, (__, i) => i).filter((i) => !plain(i)).length),
  );
})();
const GPT2 = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** Pieces that begin at the mark; several marks in a row stand alone but for the last. */
const beforeMarks = (text: string, mark: string): string[] => {
  const parts = text.split(mark);
  return parts.map((p, i) => (i === 0 ? p : mark + p)).filter((p) => p !== "");
};
export function schemeOf(part: Raw): string {
  const scheme = part["prepend_scheme"] ?? undefined;
  const adds = part["add_prefix_space"] ?? undefined;
  if (scheme !== undefined) need(["always", "first", "never"].includes(str(scheme)), "a scheme");
  if (adds !== undefined && !bool(adds)) {
    need(scheme === undefined || scheme === "never", "one scheme");
    return "never";
  }
  return scheme === undefined ? "always" : str(scheme);
}

export function cut(text: string, part: Raw, atStart: boolean): string[] {
  switch (typed(part)) {
    case "BertPreTokenizer":
      return text.match(/[^\p{White_Space}\p{P}$+<=>^`|~]+|[\p{P}$+<=>^`|~]/gu) ?? [];
    case "ByteLevel": {
      bool(part["trim_offsets"]);
      const whole = bool(part["add_prefix_space"]) && !text.startsWith(" ") ? ` ${text}` : text;
      const words = part["use_regex"] === undefined || bool(part["use_regex"]) ? (whole.match(GPT2) ?? []) : [whole];
      return words.map((word) => [...ENCODER.encode(word)].map((b) => BYTE_CHARACTERS[b]!).join(""));
    }
    case "Split":
      if (str(part["behavior"]) !== "MergedWithNext" || bool(part["invert"])) throw new Unjudged();
      if (!("String" in record(part["pattern"]))) throw new Unjudged();
      return str(searched(part)) === "" ? [text] : beforeMarks(text, str(searched(part)));
    case "Metaspace": {
      const mark = str(part["replacement"]);
      need([...mark].length === 1, "one character");
      const scheme = schemeOf(part);
      let t = text.replaceAll(" ", () => mark);
      if ((scheme === "always" || (scheme === "first" && atStart)) && !t.startsWith(mark)) t = mark + t;
      const splits = part["split"] ?? true;
      return bool(splits) ? beforeMarks(t, mark) : [t];
    }
    default:
      return need(false, "a pre-tokenizer") as never;
  }
}
