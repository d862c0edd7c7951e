/** An interval of a share, such as an accuracy. */
import { normalQuantile } from "./normal.ts";

/** Wilson's score interval of k of n, without continuity correction; undefined for n = 0. */
export function wilson(k: number, n: number, level = 0.95): readonly [number, number] | undefined {
  if (n === 0) return undefined;
  const z = normalQuantile(1 - (1 - level) / 2);
  const share = k / n;
  const scale = 1 + (z * z) / n;
  const centre = (share + (z * z) / (2 * n)) / scale;
  const half = (z / scale) * Math.sqrt((share * (1 - share)) / n + (z * z) / (4 * n * n));
  return [k === 0 ? 0 : Math.max(0, centre - half), k === n ? 1 : Math.min(1, centre + half)];
}
