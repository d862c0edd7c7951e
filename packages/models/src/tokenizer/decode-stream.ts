/**
 * Decoding of tokens that come one by one, as `tokenizers` does it: what stands before the new text is decoded again with each token, since
 * a decoder may treat the first token otherwise, and text that ends in U+FFFD waits, since it may be a part of a character.
 */
import type { DecodeStream } from "./options.ts";

/** No character has more bytes; a run this long that still ends in U+FFFD will not become one by waiting. */
const LONGEST_WAIT = 64;

export function decodeStream(decode: (ids: readonly number[]) => string): DecodeStream {
  /** Tokens that have been shown and are decoded again, then those that wait. */
  let ids: number[] = [];
  let shown = 0;
  let prefix = "";
  const show = (text: string): string => {
    // a decoder that changes what it has shown already shows the rest of what it now says
    const added = text.startsWith(prefix) ? text.slice(prefix.length) : text.slice(commonLength(text, prefix));
    ids = ids.slice(shown);
    shown = ids.length;
    prefix = decode(ids);
    return added;
  };
  return {
    push(id) {
      if (prefix === "" && ids.length > 0) {
        const text = decode(ids);
        if (!text.endsWith("\ufffd")) [prefix, shown] = [text, ids.length];
      }
      ids.push(id);
      const text = decode(ids);
      const waits = text.endsWith("\ufffd") && ids.length - shown < LONGEST_WAIT;
      return text.length > prefix.length && !waits ? show(text) : "";
    },
    end() {
      const text = decode(ids);
      const added = text.length > prefix.length ? show(text) : "";
      [ids, shown, prefix] = [[], 0, ""];
      return added;
    },
  };
}

function commonLength(a: string, b: string): number {
  let i = 0;
  while (i < a.length && i < b.length && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  return i;
}
