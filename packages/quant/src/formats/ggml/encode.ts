/** Numbers as ggml's blocks: what files of llama.cpp are written with. */
import { f16ToF32, LowrankError, NumericsError, quote } from "@lowrank/tensor";
import type { BlockLayout } from "./layout.ts";
import { Q8_0 } from "./legacy.ts";

const WRITTEN: readonly BlockLayout[] = [Q8_0];

/** Forms of blocks that are written; the others are read only. */
export const encodedForms: readonly string[] = WRITTEN.map(({ name }) => name);

/**
 * Rows of numbers as blocks, with the bytes of llama.cpp's reference quantizer.
 * @param form one of `encodedForms`
 * @param width of a row, whole blocks long
 * @param what the tensor is called in messages
 * @throws LowrankError (NotBuiltError) on another form, (QuantizationError) on rows that are no whole blocks, (NumericsError) on a block whose scale an f16 cannot hold
 */
export function encodeGgml(form: string, values: Float32Array, width: number, what: string): Uint8Array {
  const layout = WRITTEN.find(({ name }) => name === form);
  if (layout === undefined)
    throw new LowrankError(
      "NotBuiltError",
      `${what}: writing ${quote(form)} is not built; there are ${encodedForms.join(", ")}`,
    );
  const { elements, bytes, halves, encode } = layout;
  if (width % elements !== 0 || values.length % width !== 0)
    throw new LowrankError(
      "QuantizationError",
      `${what}: rows of ${width} are no whole blocks of ${elements}, which ${form} has`,
    );
  const out = new Uint8Array((values.length / elements) * bytes);
  for (let at = 0, to = 0; at < values.length; at += elements, to += bytes) {
    const bad = values.subarray(at, at + elements).findIndex((v) => !Number.isFinite(v));
    if (bad >= 0) throw new NumericsError(`${what}: element ${at + bad} is ${values[at + bad]}`);
    encode!(values, at, out, to);
    if (halves.some((half) => (out[to + half + 1]! & 0x7c) === 0x7c))
      throw new NumericsError(`${what}: the block at element ${at} is too large for ${form}, whose scales are f16`);
  }
  return out;
}

/** The numbers that such blocks stand for, as `encodeGgml` made them. */
export function decodeGgml(form: string, blocks: Uint8Array): Float32Array {
  const layout = WRITTEN.find(({ name }) => name === form);
  if (layout === undefined) throw new LowrankError("NotBuiltError", `reading ${quote(form)} on the host is not built`);
  const { elements, bytes, halves, decode } = layout;
  const out = new Float32Array((blocks.length / bytes) * elements);
  for (let at = 0, to = 0; at < blocks.length; at += bytes, to += elements) {
    const block = blocks.subarray(at, at + bytes);
    const scales = f16ToF32(Uint16Array.from(halves, (half) => block[half]! | (block[half + 1]! << 8)));
    const codes = block.filter((_, i) => !halves.includes(i) && !halves.includes(i - 1));
    decode(codes, 0, [...scales], out, to);
  }
  return out;
}
