/** From numbers to places on a chart. Nothing here draws. */

export type Point = readonly [number, number];

/** Round numbers within [from, to], about as many as asked for: multiples of 1, 2 or 5 of a power of ten. */
export function ticks(from: number, to: number, count: number): number[] {
  if (!(to > from)) return [from];
  const rough = (to - from) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough * 0.7) ?? 10);
  const first = Math.ceil(from / step - 1e-9);
  const last = Math.floor(to / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Smallest and largest, with room where they are the same. */
export function extent(values: Iterable<number>): readonly [number, number] | undefined {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  if (least > most) return undefined;
  const room = least === most ? Math.max(Math.abs(least) * 0.1, 1e-9) : 0;
  return [least - room, most + room];
}

/**
 * At most two points for each of `columns` stretches of x, the least and the most of it, so that no peak is lost; in order.
 */
export function thinned(points: readonly Point[], columns: number): readonly Point[] {
  if (points.length <= 2 * columns) return points;
  const [from, to] = [points[0]![0], points.at(-1)![0]];
  const kept: Point[] = [];
  let at = 0;
  for (let column = 0; column < columns && at < points.length; column++) {
    const end = from + ((column + 1) / columns) * (to - from);
    let [low, high] = [at, at];
    const start = at;
    while (at < points.length && (column === columns - 1 || points[at]![0] <= end)) {
      if (points[at]![1] < points[low]![1]) low = at;
      if (points[at]![1] > points[high]![1]) high = at;
      at++;
    }
    if (at === start) continue;
    kept.push(points[Math.min(low, high)]!);
    if (low !== high) kept.push(points[Math.max(low, high)]!);
  }
  return kept;
}

/** Means over `window` neighbours around each point, fewer at the ends: where a noisy curve goes. */
export function smoothed(points: readonly Point[], window: number): Point[] {
  const sums = [0];
  for (const [, y] of points) sums.push(sums.at(-1)! + y);
  return points.map(([x], i): Point => {
    // as many on either side, so that a trend is not bent at the ends
    const half = Math.min(window >> 1, i, points.length - 1 - i);
    return [x, (sums[i + half + 1]! - sums[i - half]!) / (2 * half + 1)];
  });
}

/** Index of the point whose x is nearest; points are in the order of x. */
export function nearest(points: readonly Point[], x: number): number {
  let [low, high] = [0, points.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle]![0] < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - points[low - 1]![0] < points[low]![0] - x ? low - 1 : low;
}
