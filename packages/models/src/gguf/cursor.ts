/** Bytes from the beginning of a file of unknown header length, read as far as they are asked for, and numbers in them. */
import { FormatError, type RandomAccess } from "@lowrank/tensor";

/** First piece that is read; each further one is as long as all before it. */
const FIRST_BYTES = 1 << 16;
/** The header holds a vocabulary of maybe a million pieces and their merges; more is no header. */
export const MAX_HEADER_BYTES: number = 1 << 28;

export function fail(why: string): never {
  throw new FormatError(`GGUF: ${why}`);
}

export class Cursor {
  readonly size: number;
  readonly #source: RandomAccess;
  #bytes = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);
  /** What has been read of `#bytes`, which may be longer. */
  #have = 0;
  position = 0;
  littleEndian = true;

  constructor(source: RandomAccess) {
    this.#source = source;
    this.size = source.size;
  }

  /** All bytes up to the position. */
  get before(): Uint8Array {
    return this.#bytes.subarray(0, this.position);
  }

  get left(): number {
    return this.size - this.position;
  }

  /** Whether `count` bytes from here on can be read at once; else `await load(count)` first. */
  has(count: number): boolean {
    return this.position + count <= this.#have;
  }

  /** @throws FormatError where the file ends before, or this is too much for a header */
  async load(count: number): Promise<void> {
    const end = this.position + count;
    if (end > this.size)
      fail(`the file ends at byte ${this.size}, in the middle of its header, which goes on to byte ${end} at least`);
    if (end > MAX_HEADER_BYTES) fail(`the header is longer than ${MAX_HEADER_BYTES} bytes`);
    if (end <= this.#have) return;
    const to = Math.min(this.size, MAX_HEADER_BYTES, Math.max(end, FIRST_BYTES, 2 * this.#have));
    const grown = new Uint8Array(to);
    grown.set(this.#bytes.subarray(0, this.#have));
    const piece = await this.#source.read(this.#have, to);
    if (piece.length !== to - this.#have)
      fail(`the file gave ${piece.length} bytes where it has ${to - this.#have}; it changed while it was read`);
    grown.set(piece, this.#have);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
    this.#have = to;
  }

  // the following want their bytes loaded

  u8(): number {
    return this.#bytes[this.position++]!;
  }

  u32(): number {
    const value = this.#view.getUint32(this.position, this.littleEndian);
    this.position += 4;
    return value;
  }

  /** Exact below 2^53; beyond, close to what it is, and larger than any file. */
  u64(): number {
    const [first, second] = [this.u32(), this.u32()];
    const [low, high] = this.littleEndian ? [first, second] : [second, first];
    return high * 2 ** 32 + low;
  }

  bytes(count: number): Uint8Array {
    const found = this.#bytes.subarray(this.position, this.position + count);
    this.position += count;
    return found;
  }
}
