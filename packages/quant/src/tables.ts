/**
 * The code books of bitsandbytes. NF4 (Dettmers et al. 2023, "QLoRA"): quantiles of a normal distribution, so that each code is used
 * about equally often. FP4: sign, two exponent bits, one mantissa bit. The dynamic map (Dettmers 2015, arXiv:1511.04561): 8 bits with
 * a moving exponent, for scales of scales.
 */

export type FourBitType = "nf4" | "fp4";

const NF4 = [
  -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
];
const FP4 = [0, 0.0625, 8, 12, 4, 6, 2, 3].map((x) => x / 12);

/** What each code stands for, in units of the block's largest magnitude. */
export const codeBooks: Readonly<Record<FourBitType, Float32Array>> = {
  nf4: Float32Array.from(NF4),
  // the second zero decodes to +0
  fp4: Float32Array.from([...FP4, ...FP4.map((x) => 0 - x)]),
};

/** Code of the number zero, which pads odd lengths. */
export const zeroCode: Readonly<Record<FourBitType, number>> = { nf4: 7, fp4: 0 };

/** Codes in the order of what they stand for. FP4 has two zeros; a stable sort puts code 0 before code 8. */
export const ascending: Readonly<Record<FourBitType, Uint8Array>> = {
  nf4: sorted(codeBooks.nf4),
  fp4: sorted(codeBooks.fp4),
};

/** f32 midpoints of neighbours in that order: x has the code at the place that is the number of midpoints below x; ties go down. */
export const midpoints: Readonly<Record<FourBitType, Float32Array>> = {
  nf4: between(codeBooks.nf4, ascending.nf4),
  fp4: between(codeBooks.fp4, ascending.fp4),
};

function sorted(book: Float32Array): Uint8Array {
  return Uint8Array.from(Array.from(book, (_, i) => i).sort((a, b) => book[a]! - book[b]!));
}

function between(book: Float32Array, order: Uint8Array): Float32Array {
  return Float32Array.from({ length: 15 }, (_, i) => Math.fround(book[order[i]!]! + book[order[i + 1]!]!) / 2);
}

/** The signed dynamic map: 256 ascending numbers in [−0.993, 1]. */
export const dynamicMap: Float32Array = makeDynamicMap();

function makeDynamicMap(): Float32Array {
  const values = [0, 1];
  for (let i = 0; i < 7; i++) {
    const items = 2 ** i;
    const bounds = linspace(Math.fround(0.1), 1, items + 1);
    for (let k = 0; k < items; k++) {
      const mean = Math.fround(Math.fround(bounds[k]! + bounds[k + 1]!) / 2);
      const value = Math.fround(Math.fround(10 ** (i - 6)) * mean);
      values.push(value, -value);
    }
  }
  return Float32Array.from(values.sort((a, b) => a - b));
}

/** torch.linspace in f32: from both ends towards the middle, each element rounded once. */
function linspace(from: number, to: number, count: number): Float32Array {
  const step = Math.fround(Math.fround(to - from) / (count - 1));
  return Float32Array.from({ length: count }, (_, i) =>
    Math.fround(i < count / 2 ? from + step * i : to - step * (count - 1 - i)),
  );
}
