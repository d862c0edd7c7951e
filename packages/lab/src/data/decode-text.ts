/** Text that really is UTF-8. */
import { InputError } from "../errors.ts";

/** UTF-8 and nothing else, without a byte order mark; `name` is what errors call the file. */
export function decodeText(bytes: Uint8Array, name: string): string {
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff))
    throw new InputError(`${name}: is UTF-16; save it as UTF-8`);
  const zero = bytes.indexOf(0);
  if (zero >= 0)
    throw new InputError(
      `${name}:${lineOf(bytes, zero)}: holds a NUL byte; it is no text, or UTF-16; save it as UTF-8`,
    );
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    const bad = firstBadByte(bytes);
    throw new InputError(
      `${name}:${lineOf(bytes, bad)}: byte 0x${bytes[bad]!.toString(16).padStart(2, "0")} is not UTF-8 (Latin-1?); save the file as UTF-8`,
      { cause: error },
    );
  }
}

function lineOf(bytes: Uint8Array, at: number): number {
  let line = 1;
  for (let i = 0; i < at; i++) if (bytes[i] === 0x0a) line++;
  return line;
}

/** Where the first character begins that is not UTF-8. */
function firstBadByte(bytes: Uint8Array): number {
  /** Whether a prefix is UTF-8; with `open` it may end within a character. */
  const sound = (end: number, open: boolean): boolean => {
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, end), { stream: open });
      return true;
    } catch {
      return false;
    }
  };
  let [low, high] = [0, bytes.length];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (sound(middle, true)) low = middle;
    else high = middle - 1;
  }
  // a character has at most four bytes
  while (low > 0 && !sound(low, false)) low--;
  return Math.min(low, bytes.length - 1);
}
