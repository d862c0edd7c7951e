/** Reading safetensors: the header once, tensors one by one, each by its range. */
import { FormatError } from "../errors.ts";
import type { RandomAccess } from "../files/random-access.ts";
import { noSuchTensor, readTensor, type StoredTensor, type TensorSource } from "../files/tensor-source.ts";
import { headerLength, parseHeader, type SafetensorsHeader, type TensorEntry } from "./header.ts";

export class SafetensorsFile implements TensorSource {
  readonly where: string;
  readonly #source: RandomAccess;
  readonly #header: SafetensorsHeader;

  private constructor(source: RandomAccess, header: SafetensorsHeader) {
    this.where = source.where ?? "safetensors";
    this.#source = source;
    this.#header = header;
  }

  /** Reads and checks the header. Whoever opened `source` closes it where this fails. @throws FormatError on anything that is not a sound file */
  static async open(source: RandomAccess): Promise<SafetensorsFile> {
    const length = headerLength(await bytes(source, 0, Math.min(8, source.size)), source.size);
    return new SafetensorsFile(source, parseHeader(await bytes(source, 8, 8 + length), source.size));
  }

  get names(): string[] {
    return [...this.#header.entries.keys()];
  }
  get metadata(): Readonly<Record<string, string>> {
    return this.#header.metadata;
  }

  has(name: string): boolean {
    return this.#header.entries.has(name);
  }

  info(name: string): TensorEntry {
    const entry = this.#header.entries.get(name);
    if (entry === undefined) throw noSuchTensor(this.where, name, this.names);
    return entry;
  }

  async range(name: string, from = 0, to?: number): Promise<Uint8Array> {
    const { begin, bytes: length } = this.info(name);
    const raw = await bytes(this.#source, begin + from, begin + (to ?? length));
    // typed arrays need their own alignment, which offsets in a file do not give
    return raw.byteOffset % 8 === 0 && raw.buffer instanceof ArrayBuffer ? raw : Uint8Array.from(raw);
  }

  /** One tensor of plain numbers, as `readTensor` has it. */
  read(name: string): Promise<StoredTensor> {
    return readTensor(this, name);
  }

  close(): Promise<void> {
    return this.#source.close?.() ?? Promise.resolve();
  }
}

async function bytes(source: RandomAccess, begin: number, end: number): Promise<Uint8Array> {
  const read = await source.read(begin, end);
  if (read.length !== end - begin)
    throw new FormatError(
      `${source.where ?? "safetensors"}: the file gave ${read.length} bytes where it has ${end - begin}; it changed while it was read`,
    );
  return read;
}
