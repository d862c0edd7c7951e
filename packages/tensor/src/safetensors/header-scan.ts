/**
 * A look at the bytes of a header before they are parsed: JSON.parse makes objects many times larger than hostile text
 * (`[[[[…`, `{"a":1,"b":1,…`), keeps the last of two equal keys, and has no limits.
 */
import { FormatError } from "../errors.ts";

/** { header → { tensor → [ shape. */
const MAX_DEPTH = 3;
/** Dimensions of a shape. NumPy's limit is 64 as well. */
export const MAX_RANK = 64;
/** Keys that any file may have, and the bytes of a file that each further one needs: a tensor has four, and with its name and data over 100 bytes. */
const FREE_KEYS = 65_536;
const BYTES_PER_KEY = 24;

const [QUOTE, BACKSLASH, COLON, COMMA, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST] = [
  0x22, 0x5c, 0x3a, 0x2c, 0x7b, 0x7d, 0x5b, 0x5d,
];

/**
 * Number of keys in the text, at any depth.
 * @throws FormatError where it is no object, is nested deeper than a header, or has more keys or longer lists than one can have
 */
export function scanHeader(json: Uint8Array, fileSize: number): number {
  const fail = (why: string): never => {
    throw new FormatError(`safetensors: ${why}; this is not a safetensors file`);
  };
  if (json[0] !== OPEN) fail("the header is not a JSON object");
  const limit = FREE_KEYS + fileSize / BYTES_PER_KEY;
  let [depth, keys] = [0, 0];
  // commas since the last key or bracket at each depth: between the pairs of an object there is one
  const commas = new Array<number>(MAX_DEPTH + 1).fill(0);
  for (let i = 0; i < json.length; i++) {
    const byte = json[i]!;
    if (byte === QUOTE) {
      for (i++; i < json.length && json[i] !== QUOTE; i++) if (json[i] === BACKSLASH) i++;
    } else if (byte === OPEN || byte === OPEN_LIST) {
      if (++depth > MAX_DEPTH) fail(`the header is nested more than ${MAX_DEPTH} deep`);
      commas[depth] = 0;
    } else if (byte === CLOSE || byte === CLOSE_LIST) {
      if (--depth < 0) fail("the header closes more than it opens");
    } else if (byte === COLON) {
      commas[depth] = 0;
      if (++keys > limit) fail(`the header has more than ${Math.floor(limit)} keys`);
    } else if (byte === COMMA && ++commas[depth]! > MAX_RANK) {
      fail(`the header has a list of more than ${MAX_RANK} items`);
    }
  }
  return keys;
}
