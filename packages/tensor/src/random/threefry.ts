/** Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a keyed bijection of counters. */

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24] as const;
/** Key schedule parity constant of Skein. */
const PARITY = 0x1bd11bda;

/** How many random bits an element gets: a word, or half of one for half the price. */
export type RandomWidth = 16 | 32;

/** Two u32 words for `counter` under `key`. */
export function threefry2x32(key: readonly [number, number], counter: readonly [number, number]): [number, number] {
  const keys = [key[0], key[1], PARITY ^ key[0] ^ key[1]];
  let x0 = (counter[0] + keys[0]!) | 0;
  let x1 = (counter[1] + keys[1]!) | 0;
  for (let round = 0; round < 20; round++) {
    const by = ROTATIONS[round % 8]!;
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << by) | (x1 >>> (32 - by))) ^ x0;
    if (round % 4 === 3) {
      const group = (round + 1) / 4;
      x0 = (x0 + keys[group % 3]!) | 0;
      x1 = (x1 + keys[(group + 1) % 3]! + group) | 0;
    }
  }
  return [x0 >>> 0, x1 >>> 0];
}

/**
 * 32 random bits of element `index` of row `row`. Both words of a counter are used: of eight consecutive elements the
 * first four take the first words of counters 4⌊index/8⌋ + 0…3, the others their second words, so four lanes need one call for two vectors.
 */
export function elementBits(key: readonly [number, number], index: number, row: number): number {
  const words = threefry2x32(key, [((index >>> 3) << 2) | (index & 3), row]);
  return words[(index >>> 2) & 1]!;
}

/**
 * 16 random bits of element `index` of row `row`, 0 … 65535. Both halves of both words are used: sixteen consecutive
 * elements share the four counters 4⌊index/16⌋ + 0…3 and take, four at a time, the lower halves of the first and of the second words,
 * then the upper halves, so four lanes need one call for four vectors.
 */
export function elementHalf(key: readonly [number, number], index: number, row: number): number {
  const words = threefry2x32(key, [((index >>> 4) << 2) | (index & 3), row]);
  const word = words[(index >>> 2) & 1]!;
  return (index & 8) === 0 ? word & 0xffff : word >>> 16;
}
