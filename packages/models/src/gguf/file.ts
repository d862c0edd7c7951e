/** Reading GGUF, the format of llama.cpp's models: the header once, metadata when asked for, tensors each by its range. */
import {
  FormatError,
  LowrankError,
  quote,
  type RandomAccess,
  type TensorInfo,
  type TensorSource,
} from "@lowrank/tensor";
import { suggestion } from "@lowrank/tensor/check";
import { readHeader, type GgufHeader, type GgufTensor } from "./header.ts";
import { VALUE_NAMES, type ValueKind } from "./types.ts";
import type { GgufTyped, GgufValue } from "./values.ts";

export class GgufFile implements TensorSource {
  readonly where: string;
  readonly #source: RandomAccess;
  readonly #header: GgufHeader;

  private constructor(source: RandomAccess, header: GgufHeader) {
    this.where = source.where ?? "GGUF";
    this.#source = source;
    this.#header = header;
  }

  /** Reads and checks the header, and nothing else. @throws FormatError on anything that is not a sound file */
  static async open(source: RandomAccess): Promise<GgufFile> {
    return new GgufFile(source, await readHeader(source));
  }

  get version(): number {
    return this.#header.version;
  }
  get littleEndian(): boolean {
    return this.#header.littleEndian;
  }
  /** Names of the metadata, in the file's order. */
  get keys(): string[] {
    return [...this.#header.entries.keys()];
  }
  /** Names of the tensors, in the file's order. */
  get names(): string[] {
    return [...this.#header.tensors.keys()];
  }

  /** The type of a metadata value; undefined where there is none. */
  kindOf(key: string): ValueKind | undefined {
    const entry = this.#header.entries.get(key);
    return entry === undefined ? undefined : VALUE_NAMES[entry.type];
  }

  /** A metadata value, made anew at every call; undefined where there is none. @throws FormatError where it is not UTF-8, or no bool */
  value(key: string): GgufValue | undefined {
    const entry = this.#header.entries.get(key);
    return entry === undefined ? undefined : this.#header.values.read(entry, key);
  }

  /** The same with its type, as `writeGguf` takes it. */
  typed(key: string): GgufTyped | undefined {
    const entry = this.#header.entries.get(key);
    return entry === undefined ? undefined : this.#header.values.typed(entry, key);
  }

  has(name: string): boolean {
    return this.#header.tensors.has(name);
  }

  /** Shapes are row-major: the length of a row is the last dimension. */
  info(name: string): TensorInfo {
    const { type, shape, bytes } = this.#tensor(name);
    return { dtype: type.name, shape, bytes };
  }

  /** @throws LowrankError (NotBuiltError) for blocks of a big-endian file */
  async range(name: string, from = 0, to?: number): Promise<Uint8Array> {
    const { type, begin, bytes } = this.#tensor(name);
    const end = to ?? bytes;
    if (this.#header.littleEndian) return aligned(await this.#bytes(begin + from, begin + end));
    if (type.elements > 1)
      throw new LowrankError(
        "NotBuiltError",
        `GGUF: tensor ${quote(name)} is ${type.name} in a big-endian file; only plain numbers of such files are read: convert it to little-endian`,
      );
    // whole elements, turned
    const first = Math.floor(from / type.bytes) * type.bytes;
    const last = Math.ceil(end / type.bytes) * type.bytes;
    const turned = Uint8Array.from(await this.#bytes(begin + first, begin + last));
    for (let at = 0; at < turned.length; at += type.bytes) turned.subarray(at, at + type.bytes).reverse();
    return aligned(turned.subarray(from - first, end - first));
  }

  close(): Promise<void> {
    return this.#source.close?.() ?? Promise.resolve();
  }

  #tensor(name: string): GgufTensor {
    const tensor = this.#header.tensors.get(name);
    if (tensor === undefined)
      throw new FormatError(`GGUF: there is no tensor ${quote(name)}${suggestion(name, this.names.slice(0, 1000))}`);
    return tensor;
  }

  async #bytes(begin: number, end: number): Promise<Uint8Array> {
    const read = await this.#source.read(begin, end);
    if (read.length !== end - begin)
      throw new FormatError(
        `GGUF: the file gave ${read.length} bytes where it has ${end - begin}; it changed while it was read`,
      );
    return read;
  }
}

/** Typed arrays need their own alignment, which offsets in a file do not give. */
function aligned(raw: Uint8Array): Uint8Array {
  return raw.byteOffset % 8 === 0 && raw.buffer instanceof ArrayBuffer ? raw : Uint8Array.from(raw);
}
