/** Reading safetensors: the header once, tensors one by one, each by its range. */
import { viewAs, type DType, type TypedArray } from "../dtype.ts";
import { FormatError, quote } from "../errors.ts";
import { headerLength, parseHeader, type SafetensorsHeader, type TensorEntry } from "./header.ts";
import type { RandomAccess } from "./source.ts";

/** A tensor in host memory; f16 and bf16 as raw bits. */
export interface StoredTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TypedArray;
}

const READABLE: Readonly<Record<string, DType>> = {
  F64: "f64",
  F32: "f32",
  F16: "f16",
  BF16: "bf16",
  I32: "i32",
  U32: "u32",
  U8: "u8",
  BOOL: "bool",
};

export class SafetensorsFile {
  readonly #source: RandomAccess;
  readonly #header: SafetensorsHeader;

  private constructor(source: RandomAccess, header: SafetensorsHeader) {
    this.#source = source;
    this.#header = header;
  }

  /** Reads and checks the header. Throws FormatError on anything that is not a sound file. */
  static async open(source: RandomAccess): Promise<SafetensorsFile> {
    const length = headerLength(await range(source, 0, Math.min(8, source.size)), source.size);
    return new SafetensorsFile(source, parseHeader(await range(source, 8, 8 + length), source.size));
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
    if (entry === undefined)
      throw new FormatError(
        `safetensors: there is no tensor ${quote(name)}; the file has ${this.names.slice(0, 5).join(", ")}${this.names.length > 5 ? ", …" : ""}`,
      );
    return entry;
  }

  /** One tensor. I64 comes as i32 when every value fits; dtypes the engine has no use for are refused by name, before anything is read. */
  async read(name: string): Promise<StoredTensor> {
    const { dtype, shape, begin, end } = this.info(name);
    const readable = READABLE[dtype];
    if (readable === undefined && dtype !== "I64")
      throw new FormatError(
        `safetensors: tensor ${quote(name)} is ${quote(dtype)}, which cannot be read here; convert it to one of ${Object.keys(READABLE).join(", ")}, or leave it out`,
      );
    const raw = await range(this.#source, begin, end);
    // typed arrays need their own alignment, which offsets in a file do not give
    const bytes = raw.byteOffset % 8 === 0 && raw.buffer instanceof ArrayBuffer ? raw : Uint8Array.from(raw);
    if (readable === undefined) return { dtype: "i32", shape, data: narrowInt64(name, bytes) };
    if (readable === "bool" && bytes.some((b) => b > 1))
      throw new FormatError(
        `safetensors: tensor ${quote(name)} is BOOL and holds ${bytes.find((b) => b > 1)}; only 0 and 1 are`,
      );
    return { dtype: readable, shape, data: viewAs(readable, bytes) };
  }

  close(): Promise<void> {
    return this.#source.close?.() ?? Promise.resolve();
  }
}

async function range(source: RandomAccess, begin: number, end: number): Promise<Uint8Array> {
  const bytes = await source.read(begin, end);
  if (bytes.length !== end - begin)
    throw new FormatError(
      `safetensors: the file gave ${bytes.length} bytes where it has ${end - begin}; it changed while it was read`,
    );
  return bytes;
}

/** The lower halves, where the upper ones are nothing but their sign. */
function narrowInt64(name: string, bytes: Uint8Array): Int32Array {
  const halves = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  return Int32Array.from({ length: halves.length / 2 }, (_, i) => {
    const low = halves[2 * i]!;
    if (halves[2 * i + 1]! !== low >> 31)
      throw new FormatError(
        `safetensors: tensor ${quote(name)} holds ${(BigInt(halves[2 * i + 1]!) << 32n) | BigInt(low >>> 0)}, which does not fit 32 bits`,
      );
    return low;
  });
}
