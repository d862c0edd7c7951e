/** Text as bytes. The platform's coders, which TypeScript knows by the DOM's types only. */
import { LowrankError } from "./errors.ts";

interface Decoder {
  decode(bytes: Uint8Array): string;
}

const { TextDecoder, TextEncoder } = globalThis as unknown as {
  TextDecoder: new (encoding: string, options: { fatal: boolean }) => Decoder;
  TextEncoder: new () => { encode(text: string): Uint8Array };
};

export function encodeUtf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Undefined where the bytes are not UTF-8. A byte order mark at the beginning is left out. */
export function tryDecodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** @throws LowrankError (FormatError) naming `source` where the bytes are not UTF-8 */
export function decodeUtf8(bytes: Uint8Array, source: string): string {
  const text = tryDecodeUtf8(bytes);
  if (text === undefined) throw new LowrankError("FormatError", `${source}: is not UTF-8 text`);
  return text;
}
