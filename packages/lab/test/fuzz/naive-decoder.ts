/** The second reader's way from tokens back to a text. */
import { BYTE_CHARACTERS, replaced, schemeOf } from "./naive-text.ts";
import { bool, list, need, num, record, str, typed, type Raw } from "./naive-values.ts";

const TIGHT: readonly (readonly [string, string])[] = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" do not", " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

function step(tokens: readonly string[], part: Raw): readonly string[] {
  switch (typed(part)) {
    case "Sequence":
      return list(part["decoders"]).reduce<readonly string[]>((t, d) => step(t, record(d)), tokens);
    case "WordPiece": {
      const prefix = str(part["prefix"]);
      const clean = bool(part["cleanup"]);
      return tokens.map((token, i) => {
        const placed = i === 0 ? token : token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
        return clean ? TIGHT.reduce((t, [from, to]) => t.split(from).join(to), placed) : placed;
      });
    }
    case "ByteLevel": {
      const bytes = tokens.flatMap((token) => {
        const all = [...token].map((c) => BYTE_CHARACTERS.indexOf(c));
        return all.includes(-1) ? [...new TextEncoder().encode(token)] : all;
      });
      return [new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes))];
    }
    case "Replace":
      return tokens.map((token) => replaced(token, part));
    case "Fuse":
      return [tokens.join("")];
    case "Strip": {
      const content = str(part["content"]);
      return tokens.map((token) => {
        let t = token;
        for (let i = 0; i < num(part["start"]) && t.startsWith(content); i++) t = t.slice(content.length);
        for (let i = 0; i < num(part["stop"]) && t.endsWith(content); i++) t = t.slice(0, -content.length);
        return t;
      });
    }
    case "ByteFallback": {
      const out: (string | number[])[] = [];
      for (const token of tokens) {
        const byte = /^<0x([0-9a-fA-F]{2})>$/.exec(token);
        const last = out.at(-1);
        if (byte === null) out.push(token);
        else if (Array.isArray(last)) last.push(parseInt(byte[1]!, 16));
        else out.push([parseInt(byte[1]!, 16)]);
      }
      return out.map((run) => {
        if (typeof run === "string") return run;
        try {
          return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(run));
        } catch {
          return "\ufffd".repeat(run.length);
        }
      });
    }
    case "Metaspace": {
      const mark = str(part["replacement"]);
      return tokens.map((token, i) => token.split(mark).join(i === 0 && schemeOf(part) !== "never" ? "" : " "));
    }
    default:
      return need(false, "a decoder") as never;
  }
}

export function decoded(tokens: readonly string[], part: Raw | undefined): string {
  if (tokens.length === 0) return "";
  return part === undefined ? tokens.join(" ") : step(tokens, part).join("");
}
