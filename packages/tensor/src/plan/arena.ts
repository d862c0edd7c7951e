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
  /** Where it is written part by part: each begins with the step that writes it, and what lies where it will be may live until then. */
  readonly parts?: readonly { readonly offset: number; readonly bytes: number; readonly first: number }[];
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
  const placed: Placed[] = [];
  let total = 0;
  for (const i of order) {
    const mine = buffers[i]!;
    let offset = 0;
    for (const other of placed) {
      if (other.last < mine.first || mine.last < other.first) continue;
      if (other.offset - offset >= mine.bytes) break;
      offset = Math.max(offset, align(other.offset + other.bytes));
    }
    offsets[i] = offset;
    const { bytes, first, last, parts = [{ offset: 0, bytes, first }] } = mine;
    for (const part of parts)
      insert(placed, { offset: offset + part.offset, bytes: part.bytes, first: part.first, last });
    total = Math.max(total, align(offset + mine.bytes));
  }
  return { offsets, bytes: total };
}

/** What lies where, and when. */
interface Placed extends Omit<Lifetime, "parts"> {
  readonly offset: number;
}

/** Keeps the list sorted by offset, one more after those at the same. */
function insert(placed: Placed[], one: Placed): void {
  let [low, high] = [0, placed.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (placed[middle]!.offset <= one.offset) low = middle + 1;
    else high = middle;
  }
  placed.splice(low, 0, one);
}
