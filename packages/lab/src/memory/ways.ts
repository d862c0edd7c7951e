/** Ways to compute a batch: all rows at once or some at a time, keeping what layers compute or computing it again. */
import type { ResolvedConfig } from "../config/study.ts";

/** One way for all configs of a study. */
export interface Way {
  /** Rows that are computed at a time, at most. */
  readonly rows: number;
  /** Whether layers are computed again in the backward pass, also where a config does not ask for it. */
  readonly recompute: boolean;
}

export type Sized = Pick<ResolvedConfig, "train" | "method">;

/** Rows that a config computes at a time as it stands. */
export function ownRows({ train }: Pick<Sized, "train">): number {
  return train.microBatch ?? train.batchSize;
}

/** What a config becomes; one that has to change nothing is itself. */
export function inWay<C extends Sized>(config: C, { rows, recompute }: Way): C {
  const fewer = rows < ownRows(config);
  const again = recompute && !config.method.gradientCheckpointing;
  return {
    ...config,
    ...(fewer ? { train: { ...config.train, microBatch: rows } } : {}),
    ...(again ? { method: { ...config.method, gradientCheckpointing: true } } : {}),
  };
}

/** Halves of the largest number of rows, down to one. */
export function rowsToTry(configs: readonly Pick<Sized, "train">[]): number[] {
  const rows = [Math.max(...configs.map(ownRows))];
  while (rows.at(-1)! > 1) rows.push(Math.ceil(rows.at(-1)! / 2));
  return rows;
}

/**
 * Time of a step, relative to all rows at once. Computing layers again is half a LoRA step more (measured: "Recomputing blocks" in
 * benchmarks/NOTES.md). A part costs what so many tokens more would: it packs every weight anew, and short products fill
 * no tile; a GPU is idle with few tokens.
 */
export function timeOf({ rows, recompute }: Way, length: number, device: string): number {
  return (recompute ? AGAIN : 1) * (1 + (device === "wasm" ? PART_TOKENS : PART_TOKENS_ELSEWHERE) / (rows * length));
}
const AGAIN = 1.5;
const PART_TOKENS = 48;
const PART_TOKENS_ELSEWHERE = 2048;

/** The fastest of the ways that fit, where more rows and keeping more take more memory. @param fits asked as seldom as may be */
export async function fastest(
  rows: readonly number[],
  time: (way: Way) => number,
  fits: (way: Way) => Promise<boolean>,
): Promise<Way | undefined> {
  let best: Way | undefined;
  for (const recompute of [false, true]) {
    // the first of the list that fits: rows fall along it
    let [low, high] = [0, rows.length];
    if (best !== undefined && time({ rows: rows[0]!, recompute }) >= time(best)) continue;
    if (await fits({ rows: rows[0]!, recompute })) high = 0;
    else low = 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (await fits({ rows: rows[middle]!, recompute })) high = middle;
      else low = middle + 1;
    }
    const most = rows[low];
    if (most === undefined) continue;
    const found = { rows: most, recompute };
    if (best === undefined || time(found) < time(best)) best = found;
  }
  return best;
}
