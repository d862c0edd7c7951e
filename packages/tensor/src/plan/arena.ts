/**
 * Places buffers with known lifetimes in one arena: the largest first, each at the lowest offset where it overlaps nothing that
 * lives at the same time (Pisarchyk & Lee 2020, greedy by size).
 *
 *   bytes         step 0   step 1   step 2   step 3
 *   512 … 767              b        b                   b  256 bytes, steps 1 to 2
 *     0 … 511     a        a        c        c          a  512 bytes, steps 0 to 1;  c  512 bytes, steps 2 to 3
 *
 *   In the order a, c, b: c goes where a was, b above both.
 */
export interface Lifetime {
  readonly bytes: number;
  /** First and last step that touch it, both inclusive. */
  readonly first: number;
  readonly last: number;
}

export interface ArenaLayout {
  readonly offsets: number[];
  readonly bytes: number;
}

/** @param alignment of every offset, in bytes */
export function placeBuffers(buffers: readonly Lifetime[], alignment: number): ArenaLayout {
  const align = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;
  const offsets = new Array<number>(buffers.length).fill(0);
  const order = buffers
    .map((_, i) => i)
    .sort((a, b) => buffers[b]!.bytes - buffers[a]!.bytes || buffers[a]!.first - buffers[b]!.first);
  const placed: number[] = [];
  let total = 0;
  for (const i of order) {
    const mine = buffers[i]!;
    let offset = 0;
    for (const j of placed) {
      const other = buffers[j]!;
      if (other.last < mine.first || mine.last < other.first) continue;
      if (offsets[j]! - offset >= mine.bytes) break;
      offset = Math.max(offset, align(offsets[j]! + other.bytes));
    }
    offsets[i] = offset;
    placed.splice(placeFor(placed, offsets, offset), 0, i);
    total = Math.max(total, align(offset + mine.bytes));
  }
  return { offsets, bytes: total };
}

/** Where to put one more into a list that is sorted by offset: after those at the same. */
function placeFor(placed: readonly number[], offsets: readonly number[], offset: number): number {
  let [low, high] = [0, placed.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (offsets[placed[middle]!]! <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
