/**
 * The character map of a SentencePiece file (nmt_nfkc, nfkc and their like): a double array (Darts) of UTF-8 strings, each with the place
 * of what stands for it in a list of strings that end in NUL. Read with the rules of `spm_precompiled`, which `tokenizers` uses: of
 * what is found at a place the shortest counts, and a whole grapheme of less than six bytes is looked up before its characters.
 */
import { quote } from "@lowrank/tensor";
import { refuse, text, type Place } from "@lowrank/tensor/check";
import { rewrite, type AlignedText } from "./aligned-text.ts";
import { byteLength } from "./byte-fallback.ts";
import { part, type Part } from "./parts.ts";

interface Globals {
  atob(text: string): string;
  TextEncoder: new () => { encode(text: string): Uint8Array };
  TextDecoder: new (
    encoding: string,
    options: { ignoreBOM: boolean; fatal: boolean },
  ) => { decode(bytes: Uint8Array): string };
}
const { atob, TextEncoder, TextDecoder } = globalThis as unknown as Globals;

class CharacterMap {
  readonly #units: Uint32Array;
  readonly #strings: Uint8Array;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });
  readonly #known = new Map<string, string | undefined>();

  constructor(bytes: Uint8Array, at: Place) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const length = bytes.length < 4 ? -1 : view.getUint32(0, true);
    if (length < 4 || length % 4 !== 0 || length > bytes.length - 4)
      refuse(at, `has a character map of ${bytes.length} bytes whose index does not fit into it`);
    this.#units = Uint32Array.from({ length: length / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
    this.#strings = bytes.subarray(4 + length);
    try {
      this.#decoder.decode(this.#strings);
    } catch {
      refuse(at, "has a character map whose strings are not UTF-8");
    }
  }

  /** What stands for the beginning of `part`, and so for all of it; undefined where the map has nothing. */
  of(part: string): string | undefined {
    if (this.#known.has(part)) return this.#known.get(part);
    const found = this.#find(this.#encoder.encode(part));
    if (this.#known.size === MOST_KNOWN) this.#known.clear();
    this.#known.set(part, found);
    return found;
  }

  #find(bytes: Uint8Array): string | undefined {
    const units = this.#units;
    let at = offsetOf(units[0]!);
    for (const byte of bytes) {
      if (byte === 0) return undefined;
      at ^= byte;
      const unit = units[at];
      if (unit === undefined || (unit & 0x800000ff) !== byte) return undefined;
      at ^= offsetOf(unit);
      if (((unit >>> 8) & 1) === 1) return this.#string((units[at] ?? NOWHERE) & 0x7fffffff);
    }
    return undefined;
  }

  #string(start: number): string | undefined {
    if (start >= this.#strings.length) return undefined;
    const end = this.#strings.indexOf(0, start);
    try {
      return this.#decoder.decode(this.#strings.subarray(start, end < 0 ? undefined : end));
    } catch {
      return undefined;
    }
  }
}
const MOST_KNOWN = 4096;
const NOWHERE = 0x7fffffff;
const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);

interface Segmenter {
  segment(text: string): Iterable<{ readonly segment: string }>;
}
const { Segmenter } = Intl as unknown as {
  Segmenter: new (locale: undefined, options: { granularity: "grapheme" }) => Segmenter;
};
const graphemes: Segmenter = new Segmenter(undefined, { granularity: "grapheme" });
/** Of these only carriage return and line feed are a grapheme together. */
const ASCII = /^(?:(?!\r\n)[\0-\x7f])*$/u;

/** Length in UTF-8 of a grapheme that is looked up as a whole. */
const LONGEST_GRAPHEME = 5;
function isShort(grapheme: string): boolean {
  let bytes = 0;
  for (const character of grapheme)
    if ((bytes += byteLength(character.codePointAt(0)!)) > LONGEST_GRAPHEME) return false;
  return true;
}

function build(
  { precompiled_charsmap }: { precompiled_charsmap: string },
  at: Place,
): (text: AlignedText) => AlignedText {
  let binary: string;
  try {
    binary = atob(precompiled_charsmap);
  } catch {
    return refuse(at, `has a character map that is not base64: ${quote(precompiled_charsmap.slice(0, 20))}`);
  }
  const map = new CharacterMap(
    Uint8Array.from(binary, (c) => c.charCodeAt(0)),
    at,
  );
  return (from) => {
    const characters: string[] = [];
    const changes: number[] = [];
    let modified = false;
    const replace = (old: string): boolean => {
      const by = map.of(old);
      if (by === undefined) return false;
      modified = true;
      const [was, is] = [[...old].length, [...by]];
      for (const [i, character] of is.entries()) {
        characters.push(character);
        changes.push(i < was ? 0 : 1);
      }
      // what is lost goes with the character before it, whichever that is
      if (is.length < was && changes.length > 0) changes[changes.length - 1]! -= was - is.length;
      return true;
    };
    const pieces = ASCII.test(from.text) ? from.text : Array.from(graphemes.segment(from.text), (s) => s.segment);
    for (const grapheme of pieces) {
      if (isShort(grapheme) && replace(grapheme)) continue;
      for (const character of grapheme) {
        if (replace(character)) continue;
        characters.push(character);
        changes.push(0);
      }
    }
    return modified ? rewrite(from, characters, changes) : from;
  };
}

export const precompiled: Part<(text: AlignedText) => AlignedText> = part<
  { precompiled_charsmap: string },
  (text: AlignedText) => AlignedText
>({ precompiled_charsmap: text }, build);
