/** Four-bit block quantization on the host, byte for byte as bitsandbytes does it. */
import { LowrankError, NumericsError, quote, ShapeError } from "@lowrank/tensor";
import { ascending, codeBooks, midpoints, zeroCode, type FourBitType } from "./tables.ts";

export const BLOCK_SIZES: readonly number[] = [32, 64, 128, 256, 512, 1024, 2048, 4096];

/** Packed codes, element 2i in the high half of byte i, and the largest magnitude of each block. */
export interface Blocks {
  readonly codes: Uint8Array;
  readonly absmax: Float32Array;
}

/** A block whose largest magnitude is below this counts as that: 0/0 is avoided, zeros stay zeros. */
export const LEAST: number = Math.fround(1e-38);

export function checkBlockSize(blockSize: number): void {
  if (!BLOCK_SIZES.includes(blockSize))
    throw new LowrankError("QuantizationError", `block size ${blockSize} is not one of ${BLOCK_SIZES.join(", ")}`);
}

/** @throws NumericsError naming `name` and the element that is not finite */
export function quantizeBlocks(values: Float32Array, type: FourBitType, blockSize = 64, name = "tensor"): Blocks {
  checkBlockSize(blockSize);
  const places = placesOf[type];
  if (places === undefined)
    throw new LowrankError("QuantizationError", `${name}: type ${quote(type)} is neither nf4 nor fp4`);
  const n = values.length;
  const codes = new Uint8Array(Math.ceil(n / 2));
  const absmax = new Float32Array(Math.ceil(n / blockSize));
  for (let block = 0; block < absmax.length; block++) {
    const [from, to] = [block * blockSize, Math.min(n, (block + 1) * blockSize)];
    const largest = largestOf(values, from, to, name);
    absmax[block] = largest;
    const clamped = Math.max(largest, LEAST);
    if (to - from === blockSize) {
      const inverse = Math.fround(1 / clamped);
      for (let i = from; i < to; i += 2)
        codes[i >> 1] =
          (codeOf(Math.fround(values[i]! * inverse), places) << 4) |
          codeOf(Math.fround(values[i + 1]! * inverse), places);
    } else {
      // the last, partial block is divided, as torch's default backend does
      for (let i = from; i < to; i++)
        codes[i >> 1]! |= codeOf(Math.fround(values[i]! / clamped), places) << (i % 2 === 0 ? 4 : 0);
    }
  }
  if (n % 2 === 1) codes[codes.length - 1]! |= zeroCode[type];
  return { codes, absmax };
}

export function checkLengths(source: string, codes: number, scales: number, n: number, blockSize: number): void {
  const [bytes, blocks] = [Math.ceil(n / 2), Math.ceil(n / blockSize)];
  if (codes !== bytes || scales !== blocks)
    throw new ShapeError(
      `${source}: ${n} elements in blocks of ${blockSize} are ${bytes} bytes of codes and ${blocks} scales, not ${codes} and ${scales}`,
    );
}

function largestOf(values: Float32Array, from: number, to: number, name: string): number {
  let largest = 0;
  for (let i = from; i < to; i++) {
    const size = Math.abs(values[i]!);
    if (!(size < Infinity))
      throw new NumericsError(`${name}: element ${i} is ${values[i]}; only finite weights can be quantized`);
    if (size > largest) largest = size;
  }
  return largest;
}

/** code · absmax of its block, in f32. @throws ShapeError where n elements need other numbers of codes and scales */
export function dequantizeBlocks(
  { codes, absmax }: Blocks,
  type: FourBitType,
  n: number,
  blockSize = 64,
): Float32Array {
  checkLengths("dequantizeBlocks", codes.length, absmax.length, n, blockSize);
  const table = codeBooks[type];
  const out = new Float32Array(n);
  for (let i = 0; i < n; i++)
    out[i] = table[i % 2 === 0 ? codes[i >> 1]! >> 4 : codes[i >> 1]! & 15]! * absmax[Math.floor(i / blockSize)]!;
  return out;
}

/** [−1, 1] in pieces narrower than the gap between any two thresholds: after the piece, one comparison is left. */
const PIECES = 512;

interface Places {
  /** For each piece, the number of thresholds below its lower end. */
  readonly below: Uint8Array;
  /** Ascending, with an infinity behind the last. */
  readonly thresholds: Float64Array;
  readonly order: Uint8Array;
}

const placesOf: Readonly<Record<FourBitType, Places>> = { nf4: makePlaces("nf4"), fp4: makePlaces("fp4") };

function makePlaces(type: FourBitType): Places {
  const thresholds = Float64Array.of(...midpoints[type], Infinity);
  const below = Uint8Array.from({ length: 2 * PIECES + 2 }, (_, piece) =>
    thresholds.findIndex((t) => t >= piece / PIECES - 1),
  );
  return { below, thresholds, order: ascending[type] };
}

/** The nearest code of x in [−1, 1]; a tie goes down. Rounding can take |x| one unit over 1, which is still the last piece. */
function codeOf(x: number, { below, thresholds, order }: Places): number {
  const place = below[((x + 1) * PIECES) | 0]!;
  return order[x > thresholds[place]! ? place + 1 : place]!;
}
