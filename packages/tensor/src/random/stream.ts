/**
 * Random numbers for the host: initial weights, data order, masks. A stream is named by a seed and a label; number i of a stream is
 * a function of (seed, label, i) alone, so streams never disturb each other and any place of one can be reached directly.
 */
import { LowrankError, quote } from "../errors.ts";
import { threefry2x32 } from "./threefry.ts";

/** 64-bit FNV-1a of the label, as two words. */
function hashLabel(label: string): [number, number] {
  let hash = 0xcbf29ce484222325n;
  for (const ch of label) hash = BigInt.asUintN(64, (hash ^ BigInt(ch.codePointAt(0)!)) * 0x100000001b3n);
  return [Number(hash & 0xffffffffn), Number(hash >> 32n)];
}

export interface RandomState {
  readonly counter: number;
}

export class RandomStream {
  readonly #key: readonly [number, number];
  #counter = 0;

  /** key = Threefry(seed; hash of the label). Seeds are integers up to 2⁵³. */
  constructor(seed: number, label: string = "") {
    if (!Number.isSafeInteger(seed))
      throw new LowrankError("RandomError", `RandomStream: the seed must be a whole number, got ${quote(seed)}`);
    this.#key = threefry2x32([seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0], hashLabel(label));
  }

  get state(): RandomState {
    return { counter: this.#counter };
  }
  set state(state: RandomState) {
    this.#counter = state.counter;
  }

  /** Two u32 words. */
  words(): [number, number] {
    const n = this.#counter++;
    return threefry2x32(this.#key, [n >>> 0, Math.floor(n / 2 ** 32)]);
  }

  /** Uniform in [0, 1) with 53 random bits. */
  uniform(): number {
    const [a, b] = this.words();
    return ((a >>> 5) * 67108864 + (b >>> 6)) / 9007199254740992;
  }

  /** Standard normal by Box and Muller: one value per draw, so that value i needs no neighbour. */
  normal(): number {
    const [a, b] = this.words();
    // (a + 1)/2³² lies in (0, 1]: its logarithm is finite
    return Math.sqrt(-2 * Math.log((a + 1) / 4294967296)) * Math.cos((2 * Math.PI * b) / 4294967296);
  }

  /** Uniform integer in [0, n) without bias: draws that fall into the incomplete last block are thrown away. */
  integer(n: number): number {
    const limit = 4294967296 - (4294967296 % n);
    for (;;) {
      const [a] = this.words();
      if (a < limit) return a % n;
    }
  }

  /** Fisher–Yates, in place. */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [items[i], items[j]] = [items[j]!, items[i]!];
    }
    return items;
  }

  fillNormal(out: Float32Array | Float64Array, mean: number, std: number): void {
    for (let i = 0; i < out.length; i++) out[i] = mean + std * this.normal();
  }

  fillUniform(out: Float32Array | Float64Array, low: number, high: number): void {
    for (let i = 0; i < out.length; i++) out[i] = low + (high - low) * this.uniform();
  }
}
