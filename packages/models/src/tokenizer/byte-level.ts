/**
 * Bytes as characters that can be seen, GPT-2's way: printable Latin-1 stands for itself, the other 68 bytes for U+0100 onward in their
 * order (a space is Ġ). Source: openai/gpt-2, `bytes_to_unicode`.
 */
import { substitute, type AlignedText } from "./aligned-text.ts";

interface TextDecoderLike {
  decode(bytes: Uint8Array): string;
}
const { TextDecoder } = globalThis as unknown as {
  TextDecoder: new (encoding: string, options: { ignoreBOM: boolean }) => TextDecoderLike;
};

const isPrintable = (byte: number): boolean => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);

/** The character of each byte, and the byte of each character code below 324 (−1 where none). */
const CHARACTER_OF: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
})();
const BYTE_OF: Int16Array = new Int16Array(0x144).fill(-1);
CHARACTER_OF.forEach((character, byte) => {
  BYTE_OF[character.charCodeAt(0)] = byte;
});

/** The space as it is written in tokens. */
export const SPACE: string = CHARACTER_OF[0x20]!;

/** Every UTF-8 byte of the text as its character; all bytes of a character have its place in the input. */
export function toByteCharacters(text: AlignedText): AlignedText {
  return substitute(text, /[^!-~]/gu, bytesOf);
}

function bytesOf(character: string): string {
  const point = character.codePointAt(0)!;
  const continued = (shift: number): string => CHARACTER_OF[0x80 | ((point >> shift) & 0x3f)]!;
  if (point < 0x80) return CHARACTER_OF[point]!;
  if (point < 0x800) return CHARACTER_OF[0xc0 | (point >> 6)]! + continued(0);
  if (point < 0x10000) return CHARACTER_OF[0xe0 | (point >> 12)]! + continued(6) + continued(0);
  return CHARACTER_OF[0xf0 | (point >> 18)]! + continued(12) + continued(6) + continued(0);
}

/** The text of tokens: their bytes as UTF-8, one U+FFFD for each longest invalid part. A token with a character that stands for no byte counts as its own UTF-8. */
export function fromByteCharacters(tokens: readonly string[]): string {
  const bytes: number[] = [];
  for (const token of tokens) {
    const start = bytes.length;
    for (let i = 0; i < token.length; i++) {
      const byte = BYTE_OF[token.charCodeAt(i)] ?? -1;
      if (byte < 0) {
        bytes.length = start;
        for (const character of token) for (const c of bytesOf(character)) bytes.push(BYTE_OF[c.charCodeAt(0)]!);
        break;
      }
      bytes.push(byte);
    }
  }
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
}
