/**
 * Forms of ggml's blocks as code that takes sixteen elements apart at a time, as bytes, and widens them last. What the bytes of a block mean is said by
 * the form's ops (`dequantize`'s body), which this is held to; here are the bytes without the f16 numbers, which are in a tensor of their own.
 */
import { invariant } from "../../../errors.ts";
import type { Address } from "../address.ts";
import type { Code } from "../loop/code.ts";
import type { Push } from "../loop/push.ts";

/** Bytes of one block of one row in memory, at `base` + `offset`; `halves` are its f16 numbers, each on four lanes. */
export interface BlockPlace {
  readonly base: Address;
  readonly offset: number;
  readonly halves: readonly Push[];
}

/** A block as it is read. Elements are slope · q, or slope · q + offset. */
export interface OpenBlock {
  /** q of elements 8·i to 8·i + 7, as i16. Asked for in order, once each. */
  shorts(i: number): Push;
  /** On four lanes. */
  slope(part: number): Push;
  readonly offset?: (part: number) => Push;
}

export interface BlockForm {
  /** Of a block. */
  readonly elements: number;
  /** Of a block, without its f16 numbers. */
  readonly bytes: number;
  /** How many f16 numbers a block has. */
  readonly halves: number;
  /** Elements that share slope and offset. */
  readonly part: number;
  open(c: Code, place: BlockPlace): OpenBlock;
}

const splat = (c: Code, byte: number): Push => c.i4const(Math.imul(byte, 0x01010101));
const low = (c: Code, bytes: Push): Push => c.v("and", bytes, splat(c, 0x0f));
const high = (c: Code, bytes: Push): Push => c.v("and", shifted(c, bytes, 4), splat(c, 0x0f));

/** Bits of bytes moved to the right by `by`, or to the left where it is negative; what comes from a neighbour must be masked. */
function shifted(c: Code, bytes: Push, by: number): Push {
  if (by === 0) return bytes;
  return by > 0 ? c.op("i16x8.shr_u", bytes, c.i32(by)) : c.op("i16x8.shl", bytes, c.i32(-by));
}

/** Sixteen bytes at a time, kept between the two halves of them. */
function widened(c: Code, kind: "s" | "u", bytesOf: (chunk: number) => Push): OpenBlock["shorts"] {
  let kept: Push | undefined;
  return (i) => {
    if (i % 2 === 0) {
      kept = c.let4(bytesOf(i / 2));
      return c.op(`i16x8.extend_low_i8x16_${kind}`, kept);
    }
    invariant(kept !== undefined, "shorts are asked for in order");
    return c.op(`i16x8.extend_high_i8x16_${kind}`, kept);
  };
}

/** Lane `i` of one of several vectors, on four lanes. */
function lane(c: Code, vectors: readonly Push[], i: number): Push {
  const at = i % 4;
  const from = vectors[(i - at) / 4]!;
  return c.shuffle(from, from, [at, at, at, at]);
}

/** q8: bytes in two's complement. */
const Q8_0: BlockForm = {
  elements: 32,
  bytes: 32,
  halves: 1,
  part: 32,
  open: (c, { base, offset, halves }) => ({
    shorts: (i) => c.load("v128.load8x8_s", base, offset + 8 * i),
    slope: () => halves[0]!,
  }),
};

/** Halves of sixteen bytes: the low ones first. @param change makes of q, by its half, what it stands for */
function nibbles(
  c: Code,
  { base }: BlockPlace,
  at: number,
  change: (q: Push, half: number) => Push = (q) => q,
): (half: number) => Push {
  const bytes = c.let4(c.load("v128.load", base, at));
  return (half) => change(half === 0 ? low(c, bytes) : high(c, bytes), half);
}

/** Which of 32 bits at `at` are set, as bytes of ones: sixteen of them for each half. */
function bitsSet(c: Code, { base }: BlockPlace, at: number): (half: number) => Push {
  const bits = c.let4(c.load("v128.load32_splat", base, at));
  const each = c.i4lanes([0x08040201, 0x80402010 | 0, 0x08040201, 0x80402010 | 0]);
  return (half) => {
    const own = c.bytes(
      bits,
      bits,
      Array.from({ length: 16 }, (_, i) => 2 * half + (i >> 3)),
    );
    return c.op("i8x16.eq", c.v("and", own, each), each);
  };
}

/** q − 8. */
const Q4_0: BlockForm = {
  elements: 32,
  bytes: 16,
  halves: 1,
  part: 32,
  open: (c, place) => ({
    shorts: widened(
      c,
      "s",
      nibbles(c, place, place.offset, (q) => c.op("i8x16.sub", q, splat(c, 8))),
    ),
    slope: () => place.halves[0]!,
  }),
};

const Q4_1: BlockForm = {
  elements: 32,
  bytes: 16,
  halves: 2,
  part: 32,
  open: (c, place) => ({
    shorts: widened(c, "u", nibbles(c, place, place.offset)),
    slope: () => place.halves[0]!,
    offset: () => place.halves[1]!,
  }),
};

/** q − 16: where the fifth bit is not set, that is the nibble with all higher bits set. */
const Q5_0: BlockForm = {
  elements: 32,
  bytes: 20,
  halves: 1,
  part: 32,
  open(c, place) {
    const set = bitsSet(c, place, place.offset);
    const change = (q: Push, half: number): Push => c.v("or", q, c.v("andnot", splat(c, 0xf0), set(half)));
    return {
      shorts: widened(c, "s", nibbles(c, place, place.offset + 4, change)),
      slope: () => place.halves[0]!,
    };
  },
};

const Q5_1: BlockForm = {
  elements: 32,
  bytes: 20,
  halves: 2,
  part: 32,
  open(c, place) {
    const set = bitsSet(c, place, place.offset);
    const change = (q: Push, half: number): Push => c.v("or", q, c.v("and", splat(c, 0x10), set(half)));
    return {
      shorts: widened(c, "u", nibbles(c, place, place.offset + 4, change)),
      slope: () => place.halves[0]!,
      offset: () => place.halves[1]!,
    };
  },
};

/** Slopes and offsets of eight parts, from six bits each in twelve bytes. */
function sixBits(c: Code, { base, offset, halves }: BlockPlace): Pick<Required<OpenBlock>, "slope" | "offset"> {
  const word = (at: number): Push => c.let("i32", c.load("i32.load", base, offset + at));
  const masked = (x: Push, mask: number): Push => c.op("i32.and", x, c.i32(mask));
  const right = (x: Push, by: number): Push => c.op("i32.shr_u", x, c.i32(by));
  const [s, m, rest] = [word(0), word(4), word(8)];
  const joined = (lows: Push, own: Push): Push =>
    c.op("i32.or", masked(lows, 0x0f0f0f0f), masked(right(own, 2), 0x30303030));
  const floats = (four: Push): Push =>
    c.f4("convert_i32x4_s", c.op("i32x4.extend_low_i16x8_u", c.op("i16x8.extend_low_i8x16_u", c.i4("splat", four))));
  const [d, dmin] = [halves[0]!, c.let4(c.f4("neg", halves[1]!))];
  const slopes = [masked(s, 0x3f3f3f3f), joined(rest, s)].map((x) => c.let4(c.f4("mul", d, floats(x))));
  const offsets = [masked(m, 0x3f3f3f3f), joined(right(rest, 4), m)].map((x) => c.let4(c.f4("mul", dmin, floats(x))));
  return { slope: (part) => lane(c, slopes, part), offset: (part) => lane(c, offsets, part) };
}

/** Sixteen nibbles: 32 bytes hold the low halves of one part and the high halves of the next. */
function partNibbles(c: Code, { base, offset }: BlockPlace, at: number, chunk: number): Push {
  const bytes = c.load("v128.load", base, offset + at + 32 * (chunk >> 2) + 16 * (chunk & 1));
  return (chunk & 2) === 0 ? low(c, bytes) : high(c, bytes);
}

const Q4_K: BlockForm = {
  elements: 256,
  bytes: 140,
  halves: 2,
  part: 32,
  open: (c, place) => ({
    shorts: widened(c, "u", (chunk) => partNibbles(c, place, 12, chunk)),
    ...sixBits(c, place),
  }),
};

/** The fifth bit of element i of part p is bit p of byte i of 32. */
const Q5_K: BlockForm = {
  elements: 256,
  bytes: 172,
  halves: 2,
  part: 32,
  open: (c, place) => ({
    shorts: widened(c, "u", (chunk) => {
      const bits = c.load("v128.load", place.base, place.offset + 12 + 16 * (chunk & 1));
      const fifth = c.v("and", shifted(c, bits, (chunk >> 1) - 4), splat(c, 0x10));
      return c.v("or", partNibbles(c, place, 44, chunk), fifth);
    }),
    ...sixBits(c, place),
  }),
};

/** q − 32; each half of 128 elements has its low four bits in 64 bytes and its high two in 32; a signed scale for sixteen elements. */
const Q6_K: BlockForm = {
  elements: 256,
  bytes: 208,
  halves: 1,
  part: 16,
  open(c, { base, offset, halves }) {
    const load = (at: number): Push => c.load("v128.load", base, offset + at);
    const scales = c.let4(load(192));
    const slopes = (["low", "high"] as const).flatMap((half) => {
      const shorts = c.let4(c.op(`i16x8.extend_${half}_i8x16_s`, scales));
      return (["low", "high"] as const).map((quarter) =>
        c.let4(c.f4("mul", halves[0]!, c.f4("convert_i32x4_s", c.op(`i32x4.extend_${quarter}_i16x8_s`, shorts)))),
      );
    });
    return {
      shorts: widened(c, "s", (chunk) => {
        const [half, at] = [chunk >> 3, chunk & 7];
        const bytes = load(64 * half + 16 * (at & 3));
        const bits = shifted(c, load(128 + 32 * half + 16 * (at & 1)), 2 * (at >> 1) - 4);
        const q = c.v("or", at < 4 ? low(c, bytes) : high(c, bytes), c.v("and", bits, splat(c, 0x30)));
        return c.op("i8x16.sub", q, splat(c, 32));
      }),
      slope: (part) => lane(c, slopes, part),
    };
  },
};

/** By the name that `dequantize` has for them. */
export const BLOCK_FORMS: Readonly<Record<string, BlockForm>> = { Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K };
