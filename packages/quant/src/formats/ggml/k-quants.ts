/** Blocks of 256 with scales of their own for parts of 32 or 16: Q4_K, Q5_K, Q6_K. */
import { ops, type Tensor } from "@lowrank/tensor";
import { bytesAt, inBlocks, modulo, shiftedBy, signed } from "./bits.ts";
import type { BlockLayout } from "./layout.ts";

const { fround } = Math;

/**
 * Twelve bytes hold eight scales and eight minima of six bits. The first four of each are the low six bits of bytes 0–3 and 4–7; the
 * others have their low halves in bytes 8–11 (scales low, minima high) and their high two bits at the top of bytes 0–3 and 4–7.
 * @returns scales and minima, each [rows, blocks, 8, 1]
 */
function sixBits(bytes: Tensor): { scales: Tensor; minima: Tensor } {
  const { device } = bytes;
  const four = (from: number): Tensor => inBlocks(bytesAt(bytes, from, from + 4), 1, 4);
  const first = device.constant([1, 0], [2, 1], "f32");
  const second = device.constant([0, 1], [2, 1], "f32");
  const joined = (own: Tensor, low: Tensor): Tensor => {
    const high = ops.floor(ops.mul(own, 1 / 64));
    const both = ops.add(ops.mul(modulo(own, 64), first), ops.mul(ops.add(low, ops.mul(high, 16)), second));
    return inBlocks(both, 8, 1);
  };
  const [s, m, rest] = [four(0), four(4), four(8)];
  return { scales: joined(s, modulo(rest, 16)), minima: joined(m, ops.floor(ops.mul(rest, 1 / 16))) };
}

function sixBitsAt(codes: Uint8Array, at: number, i: number): readonly [scale: number, minimum: number] {
  const [s, m] = [codes[at + (i & 3)]!, codes[at + 4 + (i & 3)]!];
  if (i < 4) return [s & 63, m & 63];
  const rest = codes[at + 4 + i]!;
  return [(rest & 15) | ((s >> 6) << 4), (rest >> 4) | ((m >> 6) << 4)];
}

/** (d · scale) · q − dmin · minimum, for q [rows, blocks, 8, 32] */
function scaled(q: Tensor, sixes: Tensor, [d, dmin]: readonly Tensor[]): Tensor {
  const { scales, minima } = sixBits(sixes);
  const [slope, offset] = [ops.mul(inBlocks(d!, 1, 1), scales), ops.mul(inBlocks(dmin!, 1, 1), minima)];
  return ops.sub(ops.mul(slope, q), offset);
}

/** Halves of 32 bytes by turns: 32 low ones, 32 high ones: [rows, blocks, 8, 32] */
function nibbles(bytes: Tensor): Tensor {
  return inBlocks(modulo(shiftedBy(inBlocks(bytes, 4, 1, 32), [0, 4], 3), 16), 8, 32);
}

function nibble(codes: Uint8Array, at: number, part: number, i: number): number {
  const byte = codes[at + 32 * (part >> 1) + i]!;
  return part % 2 === 0 ? byte & 15 : byte >> 4;
}

export const Q4_K: BlockLayout = {
  name: "Q4_K",
  elements: 256,
  bytes: 144,
  halves: [0, 2],
  value: (codes, halves) => scaled(nibbles(bytesAt(codes, 12, 140)), bytesAt(codes, 0, 12), halves),
  decode(codes, at, [d, dmin], out, to) {
    for (let part = 0; part < 8; part++) {
      const [scale, minimum] = sixBitsAt(codes, at, part);
      const [slope, offset] = [fround(d! * scale), fround(dmin! * minimum)];
      for (let i = 0; i < 32; i++) out[to + 32 * part + i] = fround(slope * nibble(codes, at + 12, part, i)) - offset;
    }
  },
};

/** The fifth bit of element i of part p is bit p of byte i of 32. */
export const Q5_K: BlockLayout = {
  name: "Q5_K",
  elements: 256,
  bytes: 176,
  halves: [0, 2],
  value(codes, halves) {
    const fifth = modulo(shiftedBy(inBlocks(bytesAt(codes, 12, 44), 1, 32), [0, 1, 2, 3, 4, 5, 6, 7], 2), 2);
    const q = ops.add(nibbles(bytesAt(codes, 44, 172)), ops.mul(fifth, 16));
    return scaled(q, bytesAt(codes, 0, 12), halves);
  },
  decode(codes, at, [d, dmin], out, to) {
    for (let part = 0; part < 8; part++) {
      const [scale, minimum] = sixBitsAt(codes, at, part);
      const [slope, offset] = [fround(d! * scale), fround(dmin! * minimum)];
      for (let i = 0; i < 32; i++) {
        const q = nibble(codes, at + 44, part, i) | (((codes[at + 12 + i]! >> part) & 1) << 4);
        out[to + 32 * part + i] = fround(slope * q) - offset;
      }
    }
  },
};

/**
 * (d · scale) · (q − 32), a signed scale for 16 elements. Each half of 128 elements has its low four bits in 64 bytes (64 elements low,
 * 64 high) and its high two in 32 bytes, four elements a byte.
 */
export const Q6_K: BlockLayout = {
  name: "Q6_K",
  elements: 256,
  bytes: 210,
  halves: [208],
  value(codes, [d]) {
    const low = modulo(shiftedBy(inBlocks(bytesAt(codes, 0, 128), 2, 1, 64), [0, 4], 3), 16);
    const high = modulo(shiftedBy(inBlocks(bytesAt(codes, 128, 192), 2, 1, 32), [0, 2, 4, 6], 3), 4);
    const q = ops.sub(ops.add(inBlocks(low, 16, 16), ops.mul(inBlocks(high, 16, 16), 16)), 32);
    const slope = ops.mul(inBlocks(d!, 1, 1), inBlocks(signed(bytesAt(codes, 192, 208)), 16, 1));
    return ops.mul(slope, q);
  },
  decode(codes, at, [d], out, to) {
    for (let i = 0; i < 256; i++) {
      const [half, place] = [i >> 7, i & 127];
      const byte = codes[at + 64 * half + (place & 63)]!;
      const low = place < 64 ? byte & 15 : byte >> 4;
      const high = (codes[at + 128 + 32 * half + (place & 31)]! >> (2 * (place >> 5))) & 3;
      const scale = (codes[at + 192 + (i >> 4)]! << 24) >> 24;
      out[to + i] = fround(d! * scale) * ((low | (high << 4)) - 32);
    }
  },
};
