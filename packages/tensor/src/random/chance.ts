/** An event of some probability, read from random bits: it happens where they lie below a threshold. */
import type { RandomWidth } from "./threefry.ts";

export interface Chance {
  readonly bits: RandomWidth;
  /** The event happens where an element's bits, as an unsigned integer, are less than this. */
  readonly below: number;
  /** What the threshold stands for, below / 2^bits: scales must be derived from this, not from what was asked for. */
  readonly probability: number;
}

/** Sixteen bits do where neither the event nor its absence becomes more or less probable by more than this part of itself. */
const PRECISION = 1e-3;

/** The chance nearest to `p` in [0, 1): of 16 bits where they come close enough, since two such elements share a word, else of 32. */
export function chance(p: number): Chance {
  const half = Math.round(p * 2 ** 16);
  if (Math.abs(half / 2 ** 16 - p) <= PRECISION * Math.min(p, 1 - p))
    return { bits: 16, below: half, probability: half / 2 ** 16 };
  // a threshold must fit 32 bits: nothing is certain
  const whole = Math.min(Math.round(p * 2 ** 32), 2 ** 32 - 1);
  return { bits: 32, below: whole, probability: whole / 2 ** 32 };
}
