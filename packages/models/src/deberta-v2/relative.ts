/**
 * Distances between tokens as DeBERTa tells them apart (He et al. 2021): near ones each by itself, far ones by their logarithm. Scores of
 * queries or keys against a distance depend on the difference of two positions, so they are computed for each distance once and then moved
 * into place by views alone.
 */
import { ops, type Tensor } from "@lowrank/tensor";
import type { DebertaV2Config } from "./config.ts";

export class Distances {
  /** Rows of the table of distances: twice the span. */
  readonly rows: number;
  readonly #span: number;
  readonly #buckets: number;
  readonly #longest: number;

  constructor({ positionBuckets, maxRelativePositions, maxPositionEmbeddings }: DebertaV2Config) {
    this.#buckets = positionBuckets;
    this.#longest = maxRelativePositions < 1 ? maxPositionEmbeddings : maxRelativePositions;
    this.#span = positionBuckets > 0 ? positionBuckets : this.#longest;
    this.rows = 2 * this.#span;
  }

  /** The row of a distance, that of the query less that of the key. */
  row(distance: number): number {
    return Math.min(Math.max(this.#bucket(distance) + this.#span, 0), this.rows - 1);
  }

  #bucket(distance: number): number {
    const half = Math.floor(this.#buckets / 2);
    const far = Math.abs(distance);
    // transformers' own f32 has the same buckets: no distance comes near a border but where both are exact
    if (this.#buckets <= 0 || far <= half) return distance;
    const log = Math.ceil((Math.log(far / half) / Math.log((this.#longest - 1) / half)) * (half - 1)) + half;
    return Math.sign(distance) * log;
  }
}

/** scores [b, h, n, n + m − 1] whose row i has what belongs to column j at n − 1 − i + j: [b, h, n, m]. */
export function intoPlace(scores: Tensor, m: number): Tensor {
  const [b, h, n, width] = scores.shape as [number, number, number, number];
  if (n === 1) return scores;
  // in one line row i begins at i·width; from n − 1 on, and in rows one shorter, every row begins where it should
  const line = ops.slice(ops.reshape(scores, [b, h, n * width]), 2, n - 1, n - 1 + n * (width - 1));
  return ops.slice(ops.reshape(line, [b, h, n, width - 1]), 3, 0, m);
}
