/** The loop along which lanes run, in several forms: unrolled vectors, single vectors, single elements. */
import type { Code } from "./code.ts";
import type { Local, Push } from "./push.ts";

export interface LaneRange {
  readonly from: Push;
  readonly to: Push;
  /** Values of to − from that can occur. */
  readonly lengths: readonly number[];
}

/**
 * Runs `body` with `coord` over [from, to): first as many vectors a round as `unrolls` has first, and so on, then one vector, then one
 * element. Forms that no length needs are left out. Which form an element meets depends on its place in the range.
 */
export function emitLanes(
  c: Code,
  coord: Local,
  { from, to, lengths }: LaneRange,
  unrolls: readonly number[],
  body: (lanes: 1 | 4, copies: number) => void,
): void {
  c.set(coord, from);
  const forms = [
    ...unrolls.map((unroll) => ({ lanes: 4, unroll }) as const),
    { lanes: 4, unroll: 1 },
    { lanes: 1, unroll: 1 },
  ] as const;
  let left = Infinity;
  for (const { lanes, unroll } of forms) {
    const step = lanes * unroll;
    if (step < left && lengths.some((n) => n % left >= step)) {
      const last = step === 1 ? to : c.let("i32", c.op("i32.sub", to, c.i32(step - 1)));
      c.loop(coord, last, step, () => body(lanes, unroll));
    }
    left = Math.min(left, step);
  }
}

/** Lengths of the pieces when `size` is cut into pieces of `chunk`. */
export function chunkLengths(size: number, chunk: number): number[] {
  return chunk >= size ? [size] : [chunk, size - Math.floor((size - 1) / chunk) * chunk];
}
