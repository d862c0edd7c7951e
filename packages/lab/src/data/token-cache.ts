/** The cache on disk of token sequences: 67,349 sentences are one file of about 2 MB that loads in milliseconds. */
import { createHash, randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import { fileSize, statOf } from "./read-file.ts";
import type { TokenSet } from "./token-set.ts";

const MAGIC = 0x4b544c32; // "2LTK": refuses a file of another layout
const DIGEST_BYTES = 32;

/**
 * The set stored under `key` in `folder`, else `make()`, which is then stored.
 * @throws InputError for a file that is not what was written under this key
 */
export function cachedTokenSet(folder: string, key: string, make: () => TokenSet): TokenSet {
  const path = join(folder, `tokens-${createHash("sha256").update(key).digest("hex").slice(0, 16)}.bin`);
  if (statOf(path) !== undefined) {
    fileSize(path);
    const stored = decode(readFileSync(path), key);
    if (stored === undefined)
      throw new InputError(
        `${path}: is not the token cache that was written (altered or damaged); delete it, and it is made again`,
      );
    return stored;
  }
  const set = make();
  mkdirSync(folder, { recursive: true });
  const temporary = `${path}.${randomUUID()}`;
  writeFileSync(temporary, encode(set, key));
  renameSync(temporary, path);
  return set;
}

/** Layout: u32 magic, u32 bytes per id (2 or 4), u32 offsets count, u32 ids count, offsets as u32, ids, SHA-256 of the key and all before. Little-endian. */
function encode(set: TokenSet, key: string): Buffer {
  const wide = set.ids.some((id) => id > 0xffff);
  const ids = wide ? set.ids : Uint16Array.from(set.ids);
  const header = Uint32Array.of(MAGIC, ids.BYTES_PER_ELEMENT, set.offsets.length, ids.length);
  const content = Buffer.concat(
    [header, set.offsets, ids].map((part) => Buffer.from(part.buffer, part.byteOffset, part.byteLength)),
  );
  return Buffer.concat([content, digest(content, key)]);
}

function decode(bytes: Buffer, key: string): TokenSet | undefined {
  const end = bytes.length - DIGEST_BYTES;
  if (end < 16 || !digest(bytes.subarray(0, end), key).equals(bytes.subarray(end))) return undefined;
  const [magic, width, offsetCount, idCount] = [0, 4, 8, 12].map((at) => bytes.readUInt32LE(at)) as [
    number,
    number,
    number,
    number,
  ];
  const start = 16 + offsetCount * 4;
  if (magic !== MAGIC || (width !== 2 && width !== 4) || end !== start + idCount * width) return undefined;
  // Copied out of the pooled Buffer so that the views are aligned.
  const copy = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const offsets = new Uint32Array(copy, 16, offsetCount);
  const ids =
    width === 4 ? new Uint32Array(copy, start, idCount) : Uint32Array.from(new Uint16Array(copy, start, idCount));
  return { ids, offsets };
}

function digest(content: Uint8Array, key: string): Buffer {
  return createHash("sha256").update(key).update("\0").update(content).digest();
}
