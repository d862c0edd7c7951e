/** Rows to train on and rows that are held out of them. */
import { RandomStream } from "@lowrank/tensor";
import { permutation } from "../random/seeds.ts";

export interface Split {
  /** Places of rows, in order. */
  readonly train: Int32Array;
  readonly heldOut: Int32Array;
}

/**
 * A share of the rows is held out, of each stratum (a label, as a rule) about the same share: so many as its share comes to, rounded down, and one
 * more of those that lost most by that, until the whole share is there. Of each stratum at least one row is left to train on.
 * @param strata of each row; the same for all where rows have none
 */
export function stratifiedSplit(strata: readonly string[], fraction: number, seed: number): Split {
  const members = new Map<string, number[]>();
  strata.forEach((stratum, i) => {
    const list = members.get(stratum);
    if (list === undefined) members.set(stratum, [i]);
    else list.push(i);
  });
  const groups = [...members].map(([stratum, rows]) => ({ stratum, rows, share: fraction * rows.length }));
  const counts = new Map(
    groups.map(({ stratum, rows, share }) => [stratum, Math.min(Math.floor(share), rows.length - 1)]),
  );
  let left = Math.round(fraction * strata.length) - [...counts.values()].reduce((sum, n) => sum + n, 0);
  // equal remainders go by the name, so that the rows' order does not count
  const byRest = groups.toSorted((a, b) => (b.share % 1) - (a.share % 1) || (a.stratum < b.stratum ? -1 : 1));
  for (const { stratum, rows } of byRest) {
    if (left <= 0) break;
    if (counts.get(stratum)! + 1 >= rows.length) continue;
    counts.set(stratum, counts.get(stratum)! + 1);
    left--;
  }
  const heldOut = groups.flatMap(({ stratum, rows }) =>
    permutation(rows.length, new RandomStream(seed, `split/${stratum}`))
      .slice(0, counts.get(stratum))
      .map((at) => rows[at]!),
  );
  const out = new Set(heldOut);
  return {
    train: Int32Array.from(strata.keys()).filter((i) => !out.has(i)),
    heldOut: Int32Array.from(heldOut).sort(),
  };
}

/** At most so many of the rows, the same for every seed of a run, in their order. */
export function limitedTo(count: number, limit: number | undefined): Int32Array {
  if (limit === undefined || limit >= count) return Int32Array.from({ length: count }, (_, i) => i);
  return Int32Array.from(permutation(count, new RandomStream(0, "rows/subset")).slice(0, limit)).sort();
}
