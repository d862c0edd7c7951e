/** Four-bit block quantisation on the host, byte for byte as bitsandbytes does it. */
import { LowrankError, NumericsError } from "@lowrank/tensor";
import { ascending, codeBooks, midpoints, zeroCode, type FourBitType } from "./tables.ts";

export const BLOCK_SIZES: readonly number[] = [32, 64, 128, 256, 512, 1024, 2048, 4096];

/** Packed codes, element 2i in the high half of byte i, and the largest magnitude of each block. */
export interface Blocks {
  readonly codes: Uint8Array;
  readonly absmax: Float32Array;
}

/** A block whose largest magnitude is below this counts as that: 0/0 is avoided, zeros stay zeros. */
const LEAST = 1e-38;

export function checkBlockSize(blockSize: number): void {
  if (!BLOCK_SIZES.includes(blockSize)) throw new LowrankError("QuantisationError", `block size ${blockSize} is not one of ${BLOCK_SIZES.join(", ")}`);
}

/** @throws NumericsError naming `name` and the element that is not finite */
export function quantiseBlocks(values: Float32Array, type: FourBitType, blockSize = 64, name = "tensor"): Blocks {
  checkBlockSize(blockSize);
  const n = values.length;
  const codes = new Uint8Array(Math.ceil(n / 2));
  const absmax = new Float32Array(Math.ceil(n / blockSize));
  const [thresholds, order] = [midpoints[type], ascending[type]];
  for (let block = 0; block < absmax.length; block++) {
    const [from, to] = [block * blockSize, Math.min(n, (block + 1) * blockSize)];
    let largest = 0;
    for (let i = from; i < to; i++) {
      const size = Math.abs(values[i]!);
      if (!(size < Infinity)) throw new NumericsError(`${name}: element ${i} is ${values[i]}; only finite weights can be quantised`);
      if (size > largest) largest = size;
    }
    absmax[block] = largest;
    const clamped = Math.max(largest, LEAST);
    const inverse = Math.fround(1 / clamped);
    const whole = to - from === blockSize;
    for (let i = from; i < to; i++) {
      // the last, partial block is divided, as torch's default backend does
      const code = order[place(Math.fround(whole ? values[i]! * inverse : values[i]! / clamped), thresholds)]!;
      codes[i >> 1]! |= i % 2 === 0 ? code << 4 : code;
    }
  }
  if (n % 2 === 1) codes[codes.length - 1]! |= zeroCode[type];
  return { codes, absmax };
}

/** code · absmax of its block, in f32. */
export function dequantiseBlocks({ codes, absmax }: Blocks, type: FourBitType, n: number, blockSize = 64): Float32Array {
  const table = codeBooks[type];
  const out = new Float32Array(n);
  for (let i = 0; i < n; i++) out[i] = table[i % 2 === 0 ? codes[i >> 1]! >> 4 : codes[i >> 1]! & 15]! * absmax[Math.floor(i / blockSize)]!;
  return out;
}

/** Four comparisons; a tie goes down. */
function place(x: number, thresholds: Float32Array): number {
  let at = 0;
  for (let half = 8; half > 0; half >>= 1) if (x > thresholds[at + half - 1]!) at += half;
  return at;
}
