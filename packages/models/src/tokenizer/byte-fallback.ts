/** Characters that a vocabulary lacks, spelt as the tokens of their UTF-8 bytes, `<0x00>` to `<0xFF>`; SentencePiece's way. */
import type { Vocabulary } from "./vocabulary.ts";

const { TextEncoder, TextDecoder } = globalThis as unknown as {
  TextEncoder: new () => { encode(text: string): Uint8Array };
  TextDecoder: new (
    encoding: string,
    options: { ignoreBOM: boolean; fatal: boolean },
  ) => { decode(bytes: Uint8Array): string };
};
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** Ids of the bytes of a text; undefined where one of them is not in the vocabulary. */
export function byteIds(vocab: Vocabulary): (text: string) => number[] | undefined {
  const ids = Array.from({ length: 256 }, (_, byte) =>
    vocab.ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
  );
  return (text) => {
    const out: number[] = [];
    for (const byte of encoder.encode(text)) {
      const id = ids[byte];
      if (id === undefined) return undefined;
      out.push(id);
    }
    return out;
  };
}

/** Number of UTF-8 bytes of the character. */
export function byteLength(codePoint: number): number {
  return codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
}

/** For each UTF-8 byte of the text where its character starts and ends, in UTF-16 units. */
export function placesOfBytes(text: string): { readonly starts: Int32Array; readonly ends: Int32Array } {
  const starts = new Int32Array(3 * text.length);
  const ends = new Int32Array(3 * text.length);
  let byte = 0;
  for (let at = 0; at < text.length;) {
    const point = text.codePointAt(at)!;
    const end = at + (point > 0xffff ? 2 : 1);
    const next = byte + byteLength(point);
    starts.fill(at, byte, next);
    ends.fill(end, byte, next);
    byte = next;
    at = end;
  }
  return { starts: starts.subarray(0, byte), ends: ends.subarray(0, byte) };
}

/** Rust reads `+F` as a number as well. */
const BYTE_TOKEN = /^<0x([0-9a-fA-F]{2}|\+[0-9a-fA-F])>$/;

/** Runs of byte tokens become the text that they are; where a run is none, each of its bytes is U+FFFD. */
export function fromByteTokens(tokens: readonly string[]): string[] {
  const out: string[] = [];
  let run: number[] = [];
  const flush = (): void => {
    if (run.length === 0) return;
    try {
      out.push(decoder.decode(Uint8Array.from(run)));
    } catch {
      for (let i = 0; i < run.length; i++) out.push("\ufffd");
    }
    run = [];
  };
  for (const token of tokens) {
    const hex = BYTE_TOKEN.exec(token)?.[1];
    if (hex !== undefined) {
      run.push(parseInt(hex, 16));
      continue;
    }
    flush();
    out.push(token);
  }
  flush();
  return out;
}
