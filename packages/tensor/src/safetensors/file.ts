/** Reading safetensors: the header once, tensors one by one, each by its range. */
import { viewAs, type DType, type TypedArray } from "../dtype.ts";
import { FormatError } from "../errors.ts";
import { headerLength, parseHeader, type SafetensorsHeader, type TensorEntry } from "./header.ts";
import type { RandomAccess } from "./source.ts";

/** A tensor in host memory; f16 and bf16 as raw bits. */
export interface StoredTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TypedArray;
}

const READABLE: Readonly<Record<string, DType>> = { F64: "f64", F32: "f32", F16: "f16", BF16: "bf16", I32: "i32", U32: "u32", U8: "u8", BOOL: "bool" };

export class SafetensorsFile {
  readonly #source: RandomAccess;
  readonly #header: SafetensorsHeader;

  private constructor(source: RandomAccess, header: SafetensorsHeader) {
    this.#source = source;
    this.#header = header;
  }

  /** Reads and checks the header. Throws FormatError on anything that is not a sound file. */
  static async open(source: RandomAccess): Promise<SafetensorsFile> {
    const length = headerLength(await source.read(0, Math.min(8, source.size)), source.size);
    return new SafetensorsFile(source, parseHeader(await source.read(8, 8 + length), source.size));
  }

  get names(): string[] { return [...this.#header.entries.keys()]; }
  get metadata(): Readonly<Record<string, string>> { return this.#header.metadata; }

  has(name: string): boolean { return this.#header.entries.has(name); }

  info(name: string): TensorEntry {
    const entry = this.#header.entries.get(name);
    if (entry === undefined) throw new FormatError(`safetensors: there is no tensor "${name}"; the file has ${this.names.slice(0, 5).join(", ")}${this.names.length > 5 ? ", …" : ""}`);
    return entry;
  }

  /** One tensor. I64 comes as i32 when every value fits; dtypes the engine has no use for are refused by name. */
  async read(name: string): Promise<StoredTensor> {
    const { dtype, shape, begin, end } = this.info(name);
    const raw = await this.#source.read(begin, end);
    // typed arrays need their own alignment, which offsets in a file do not give
    const bytes = raw.byteOffset % 8 === 0 && raw.buffer instanceof ArrayBuffer ? raw : Uint8Array.from(raw);
    if (dtype === "I64") return { dtype: "i32", shape, data: narrowInt64(name, bytes) };
    const readable = READABLE[dtype];
    if (readable === undefined) throw new FormatError(`safetensors: tensor "${name}" is ${dtype}, which cannot be read here; convert it to one of ${Object.keys(READABLE).join(", ")}`);
    return { dtype: readable, shape, data: viewAs(readable, bytes) };
  }

  close(): Promise<void> { return this.#source.close?.() ?? Promise.resolve(); }
}

function narrowInt64(name: string, bytes: Uint8Array): Int32Array {
  const wide = new BigInt64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8);
  return Int32Array.from(wide, (v) => {
    const n = Number(BigInt.asIntN(32, v));
    if (BigInt(n) !== v) throw new FormatError(`safetensors: tensor "${name}" holds ${v}, which does not fit 32 bits`);
    return n;
  });
}
