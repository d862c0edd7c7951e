/**
 * What every compute thread runs. A table of dispatches lies in the linear memory; each thread walks all of it, does its share of
 * every phase, helps with the shares of slower threads and meets the others at a barrier after it. Units are cut when code is made and
 * a unit's bits do not depend on who computes it, so neither do the results.
 *
 * Table, i32 words: count, then per dispatch: function, units, grain, shared scratch, argument count, arguments…. The grain is how few
 * units a thread may take at a time: it takes half of what is left of a share. 0 leaves all of them to the first thread.
 * Control words: how many threads have arrived at the barrier, and the barrier's generation. Claims: for each thread, a cache line
 * whose first word is how many units of its share have been taken; 0 between phases.
 *
 * Workers get this function as source text (`worker-source.ts`): it must not refer to anything outside itself.
 */

type Phase = (begin: number, end: number, shared: number, thread: number, ...args: number[]) => void;

/** Places of words are indices into an `Int32Array` over the memory. */
export interface RunOptions {
  readonly table: number;
  readonly control: number;
  readonly claims: number;
  readonly tid: number;
  readonly threads: number;
  /** Address of this thread's own scratch. */
  readonly scratch: number;
  /** How often a waiting thread looks before it sleeps: about the length of a short phase, so that no core is spun away. */
  readonly spins: number;
}

/** Where the moments at which phases begin are put down. */
export interface Recorder {
  readonly times: number[];
  readonly clock: () => number;
}

/** How the calling thread, which nobody could tell that another has ended, finds out: `look` throws then. */
export interface Watch {
  readonly look: () => void;
  /** Milliseconds of waiting between two looks. */
  readonly every: number;
}

export function runTable(
  buffer: ArrayBufferLike,
  functions: readonly Phase[],
  options: RunOptions,
  watch?: Watch,
  recorder?: Recorder,
): void {
  const { tid, threads, scratch, control: c, claims, spins } = options;
  const words = new Int32Array(buffer);
  let p = options.table;
  const count = words[p++]!;
  for (let i = 0; i < count; i++) {
    const f = functions[words[p]!]!;
    const units = words[p + 1]!;
    const grain = words[p + 2]!;
    const shared = words[p + 3]!;
    const n = words[p + 4]!;
    p += 5;
    if (recorder !== undefined) recorder.times.push(recorder.clock());
    const shares = grain > 0 ? threads : tid === 0 ? 1 : 0;
    // its own share first, whose data may still be in its caches
    for (let t = 0; t < shares; t++) {
      const owner = (tid + t) % threads;
      const low = Math.floor((units * owner) / shares);
      const high = Math.floor((units * (owner + 1)) / shares);
      const claim = claims + 16 * owner;
      let taken = shares > 1 ? Atomics.load(words, claim) : 0;
      while (low + taken < high) {
        const begin = low + taken;
        const end = shares > 1 ? Math.min(high, begin + Math.max(grain, (high - begin) >> 1)) : high;
        if (shares > 1) {
          const seen = Atomics.compareExchange(words, claim, taken, end - low);
          if (seen !== taken) {
            taken = seen;
            continue;
          }
        }
        if (n === 2) f(begin, end, shared, scratch, words[p]!, words[p + 1]!);
        else if (n === 3) f(begin, end, shared, scratch, words[p]!, words[p + 1]!, words[p + 2]!);
        else if (n === 4) f(begin, end, shared, scratch, words[p]!, words[p + 1]!, words[p + 2]!, words[p + 3]!);
        else f(begin, end, shared, scratch, ...words.subarray(p, p + n));
        taken = shares > 1 ? Atomics.load(words, claim) : end - low;
      }
    }
    p += n;
    if (threads === 1) continue;
    const generation = Atomics.load(words, c + 1);
    if (Atomics.add(words, c, 1) === threads - 1) {
      Atomics.store(words, c, 0);
      for (let t = 0; t < threads; t++) Atomics.store(words, claims + 16 * t, 0);
      Atomics.add(words, c + 1, 1);
      Atomics.notify(words, c + 1);
    } else {
      let looked = 0;
      while (Atomics.load(words, c + 1) === generation) {
        if (++looked < spins) continue;
        let woken = "timed-out";
        // a browser's main thread may not sleep: it goes on looking
        try {
          woken = Atomics.wait(words, c + 1, generation, watch?.every);
        } catch {
          looked = 0;
        }
        if (woken === "timed-out") watch?.look();
      }
    }
  }
}
