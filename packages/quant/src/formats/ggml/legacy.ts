/** Blocks of 32 with one scale, and maybe an offset: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0. */
import { f32ToF16, ops, type Tensor } from "@lowrank/tensor";
import { bytesAt, inBlocks, modulo, shiftedBy, signed } from "./bits.ts";
import type { BlockLayout } from "./layout.ts";

const { fround } = Math;

/** Byte j has element j in its low half and element 16 + j in its high one: [rows, blocks, 2, 16]. */
function nibbles(bytes: Tensor): Tensor {
  return modulo(shiftedBy(inBlocks(bytes, 1, 16), [0, 4], 2), 16);
}

/** Bit j of four bytes, the fifth bit of element j: [rows, blocks, 2, 16]. */
function fifthBits(bytes: Tensor): Tensor {
  return inBlocks(modulo(shiftedBy(inBlocks(bytes, 4, 1), [0, 1, 2, 3, 4, 5, 6, 7], 3), 2), 2, 16);
}

const five = (codes: Tensor): Tensor =>
  ops.add(nibbles(bytesAt(codes, 4, 20)), ops.mul(fifthBits(bytesAt(codes, 0, 4)), 16));
const wide = (half: Tensor): Tensor => inBlocks(half, 1, 1);

function nibble(codes: Uint8Array, at: number, i: number): number {
  return i < 16 ? codes[at + i]! & 15 : codes[at + i - 16]! >> 4;
}
function fifth(codes: Uint8Array, at: number, i: number): number {
  return ((codes[at + (i >> 3)]! >> (i & 7)) & 1) << 4;
}

/** (q − 8) · d */
export const Q4_0: BlockLayout = {
  name: "Q4_0",
  elements: 32,
  bytes: 18,
  halves: [0],
  value: (codes, [d]) => ops.mul(ops.sub(nibbles(codes), 8), wide(d!)),
  decode(codes, at, [d], out, to) {
    for (let i = 0; i < 32; i++) out[to + i] = (nibble(codes, at, i) - 8) * d!;
  },
};

/** q · d + m */
export const Q4_1: BlockLayout = {
  name: "Q4_1",
  elements: 32,
  bytes: 20,
  halves: [0, 2],
  value: (codes, [d, m]) => ops.add(ops.mul(nibbles(codes), wide(d!)), wide(m!)),
  decode(codes, at, [d, m], out, to) {
    for (let i = 0; i < 32; i++) out[to + i] = fround(nibble(codes, at, i) * d!) + m!;
  },
};

/** (q − 16) · d; the fifth bits stand before the others */
export const Q5_0: BlockLayout = {
  name: "Q5_0",
  elements: 32,
  bytes: 22,
  halves: [0],
  value: (codes, [d]) => ops.mul(ops.sub(five(codes), 16), wide(d!)),
  decode(codes, at, [d], out, to) {
    for (let i = 0; i < 32; i++) out[to + i] = ((nibble(codes, at + 4, i) | fifth(codes, at, i)) - 16) * d!;
  },
};

/** q · d + m */
export const Q5_1: BlockLayout = {
  name: "Q5_1",
  elements: 32,
  bytes: 24,
  halves: [0, 2],
  value: (codes, [d, m]) => ops.add(ops.mul(five(codes), wide(d!)), wide(m!)),
  decode(codes, at, [d, m], out, to) {
    for (let i = 0; i < 32; i++) out[to + i] = fround((nibble(codes, at + 4, i) | fifth(codes, at, i)) * d!) + m!;
  },
};

/** q · d, q in two's complement */
export const Q8_0: BlockLayout = {
  name: "Q8_0",
  elements: 32,
  bytes: 34,
  halves: [0],
  value: (codes, [d]) => ops.mul(signed(codes), d!),
  decode(codes, at, [d], out, to) {
    for (let i = 0; i < 32; i++) out[to + i] = ((codes[at + i]! << 24) >> 24) * d!;
  },
  // quantize_row_q8_0_ref: in f32, halves away from zero
  encode(values, at, out, to) {
    let most = 0;
    for (let i = 0; i < 32; i++) most = Math.max(most, Math.abs(values[at + i]!));
    const d = fround(most / 127);
    const inverse = d === 0 ? 0 : fround(1 / d);
    const [half] = f32ToF16(Float32Array.of(d));
    out[to] = half! & 255;
    out[to + 1] = half! >> 8;
    for (let i = 0; i < 32; i++) {
      // where 1/d is beyond f32, d is nothing in f16
      const x = Number.isFinite(inverse) ? fround(values[at + i]! * inverse) : 0;
      const whole = Math.floor(Math.abs(x));
      out[to + 2 + i] = Math.sign(x) * (whole + Math.floor(2 * (Math.abs(x) - whole)));
    }
  },
};
