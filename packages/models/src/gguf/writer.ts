/**
 * Writing GGUF, version 3, little-endian: the header, then one tensor after the other at multiples of the alignment. The same input
 * gives the same bytes. Source: ggml's docs/gguf.md.
 */
import { encodeUtf8, FormatError, invariant, LowrankError, quote, type ByteSink } from "@lowrank/tensor";
import { HeaderBytes } from "./header-bytes.ts";
import { TENSOR_TYPES, type TensorType } from "./types.ts";
import type { GgufTyped } from "./values.ts";

export type GgufEntries = ReadonlyMap<string, GgufTyped>;

/** A tensor of a file to be: what the header says, and its bytes, which are asked for when their turn comes. */
export interface GgufTensorEntry {
  /** As the format calls it: "F32", "F16", "Q8_0". */
  readonly type: string;
  /** Row-major, the row's length last. */
  readonly shape: readonly number[];
  /** Gives all of its bytes to `sink`, in as many pieces as it likes. */
  write(sink: ByteSink): Promise<void> | void;
}

const VERSION = 3;
const MAX_DIMENSIONS = 4;
const ALIGNMENT = "general.alignment";
const DEFAULT_ALIGNMENT = 32;

/**
 * Writes a file. Of the tensors one piece is in memory at a time, as large as their entries make it.
 * @throws LowrankError (FormatError) on a value that its kind cannot hold, or a tensor that its type cannot
 */
export async function writeGguf(
  sink: ByteSink,
  metadata: GgufEntries,
  tensors: ReadonlyMap<string, GgufTensorEntry>,
): Promise<void> {
  const alignment = alignmentOf(metadata);
  const aligned = (at: number): number => Math.ceil(at / alignment) * alignment;
  const header = new HeaderBytes();
  header.raw(encodeUtf8("GGUF"));
  header.scalar("u32", VERSION, "version");
  header.scalar("u64", tensors.size, "tensor count");
  header.scalar("u64", metadata.size, "metadata count");
  for (const [key, value] of metadata) header.entry(key, value);
  let offset = 0;
  const sizes = new Map<string, number>();
  for (const [name, { type, shape }] of tensors) {
    const bytes = bytesOf(name, type, shape);
    sizes.set(name, bytes);
    header.text(name);
    header.scalar("u32", shape.length, name);
    for (const d of shape.toReversed()) header.scalar("u64", d, name);
    header.scalar("u32", TYPES.get(type)!.number, name);
    header.scalar("u64", offset, name);
    offset = aligned(offset + bytes);
  }
  const padding = (written: number): Uint8Array => new Uint8Array(aligned(written) - written);
  await sink(header.bytes());
  await sink(padding(header.length));
  for (const [name, tensor] of tensors) {
    let written = 0;
    await tensor.write(async (piece) => {
      written += piece.length;
      await sink(piece);
    });
    invariant(written === sizes.get(name), `GGUF: ${name} gave ${written} of ${sizes.get(name)} bytes`);
    await sink(padding(written));
  }
}

const TYPES: ReadonlyMap<string, TensorType & { readonly number: number }> = new Map(
  [...TENSOR_TYPES].map(([number, type]) => [type.name, { ...type, number }]),
);

/** Bytes of a tensor. */
function bytesOf(name: string, type: string, shape: readonly number[]): number {
  const found = TYPES.get(type);
  if (found === undefined)
    throw new LowrankError("NotBuiltError", `GGUF: tensor ${quote(name)} is to be ${quote(type)}, which there is not`);
  const { elements, bytes } = found;
  if (shape.length > MAX_DIMENSIONS || shape.some((d) => !(Number.isSafeInteger(d) && d > 0)))
    throw new FormatError(
      `GGUF: tensor ${quote(name)} [${shape.join(", ")}] has other than up to ${MAX_DIMENSIONS} dimensions above 0`,
    );
  const width = shape.at(-1) ?? 1;
  if (width % elements !== 0)
    throw new FormatError(
      `GGUF: tensor ${quote(name)} is to be ${type}, and its rows of ${width} are no whole blocks of ${elements}`,
    );
  return (shape.reduce((n, d) => n * d, 1) / elements) * bytes;
}

function alignmentOf(metadata: GgufEntries): number {
  const said = metadata.get(ALIGNMENT);
  if (said === undefined) return DEFAULT_ALIGNMENT;
  const { kind, value } = said;
  if (kind !== "u32" || typeof value !== "number" || value < 8 || !Number.isInteger(Math.log2(value)))
    throw new FormatError(`GGUF: ${ALIGNMENT} must be a u32, a power of two, and at least 8`);
  return value;
}
