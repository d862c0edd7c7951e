/**
 * The numbers that PyTorch's CPU generator draws from a seed, to the bit: VeRA's files may leave its projections out and name a seed
 * instead. The Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), 24 bits of each word for an f32.
 */
const N = 624;
const M = 397;

/** Unsigned 32-bit words of MT19937, as `torch.Generator().manual_seed(seed)` gives them. */
export class MersenneTwister {
  readonly #state = new Uint32Array(N);
  #at = N;

  /** @param seed a whole number ≥ 0, of which the lowest 32 bits count, as in torch */
  constructor(seed: number) {
    this.#state[0] = seed % 2 ** 32;
    for (let i = 1; i < N; i++) {
      const before = this.#state[i - 1]!;
      this.#state[i] = Math.imul(before ^ (before >>> 30), 1812433253) + i;
    }
  }

  next(): number {
    if (this.#at === N) this.#refill();
    let y = this.#state[this.#at++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  #refill(): void {
    const s = this.#state;
    for (let i = 0; i < N; i++) {
      const y = (s[i]! & 0x80000000) | (s[(i + 1) % N]! & 0x7fffffff);
      s[i] = s[(i + M) % N]! ^ (y >>> 1) ^ ((y & 1) === 0 ? 0 : 0x9908b0df);
    }
    this.#at = 0;
  }
}

/**
 * `tensor.uniform_(−bound, bound, generator=…)` of so many f32: u·(to − from) + from with u of 24 bits, rounded once, as processors with a
 * fused multiply-add do it (torch on older ones differs in the last bit). In f64 all of it is exact: 48 bits and a sum within 47 more places.
 */
export function uniform(random: MersenneTwister, count: number, bound: number): Float32Array {
  const from = Math.fround(-bound);
  const width = Math.fround(Math.fround(bound) - from);
  return Float32Array.from({ length: count }, () => {
    const u = (random.next() & 0xffffff) / 2 ** 24;
    return Math.fround(u * width + from);
  });
}

/** PEFT's projections of a seed: A [r, in] and after it B [out, r], both kaiming-uniform with gain √2, so U(±√3·√2/√(second dimension)). */
export function projectionsOf(
  seed: number,
  { rank, inFeatures, outFeatures }: { rank: number; inFeatures: number; outFeatures: number },
): { a: Float32Array; b: Float32Array } {
  const random = new MersenneTwister(seed);
  const bound = (fan: number): number => Math.sqrt(3) * (Math.sqrt(2) / Math.sqrt(fan));
  const a = uniform(random, rank * inFeatures, bound(inFeatures));
  return { a, b: uniform(random, outFeatures * rank, bound(rank)) };
}
