/**
 * What every compute thread runs. A table of dispatches lies in the linear memory; each thread walks all of it, does its fixed
 * share of every phase and meets the others at a barrier after it.
 *
 * Table, i32 words: count, then per dispatch: function, units, parallel (0/1), shared scratch, argument count, arguments….
 * Control words: how many threads have arrived at the barrier, and the barrier's generation.
 *
 * Workers get this function as source text (`worker-source.ts`): it must not refer to anything outside itself.
 */

type Phase = (begin: number, end: number, shared: number, thread: number, ...args: number[]) => void;

export interface RunOptions {
  readonly table: number;
  readonly control: number;
  readonly tid: number;
  readonly threads: number;
  /** Address of this thread's own scratch. */
  readonly scratch: number;
}

/** @param spins how often a waiting thread looks before it sleeps: about the length of a short phase, so that no core is spun away */
export function runTable(buffer: ArrayBufferLike, functions: readonly Phase[], options: RunOptions, spins: number, times?: number[], clock?: () => number): void {
  const { tid, threads, scratch } = options;
  const words = new Int32Array(buffer);
  const c = options.control >> 2;
  let p = options.table >> 2;
  const count = words[p++]!;
  for (let i = 0; i < count; i++) {
    const f = functions[words[p]!]!;
    const units = words[p + 1]!;
    const shared = words[p + 3]!;
    const n = words[p + 4]!;
    let begin = 0;
    let end = tid === 0 ? units : 0;
    if (words[p + 2] !== 0) {
      begin = Math.floor((units * tid) / threads);
      end = Math.floor((units * (tid + 1)) / threads);
    }
    p += 5;
    if (times !== undefined && clock !== undefined) times.push(clock());
    if (begin < end) {
      if (n === 2) f(begin, end, shared, scratch, words[p]!, words[p + 1]!);
      else if (n === 3) f(begin, end, shared, scratch, words[p]!, words[p + 1]!, words[p + 2]!);
      else if (n === 4) f(begin, end, shared, scratch, words[p]!, words[p + 1]!, words[p + 2]!, words[p + 3]!);
      else f(begin, end, shared, scratch, ...words.subarray(p, p + n));
    }
    p += n;
    if (threads === 1) continue;
    const generation = Atomics.load(words, c + 1);
    if (Atomics.add(words, c, 1) === threads - 1) {
      Atomics.store(words, c, 0);
      Atomics.add(words, c + 1, 1);
      Atomics.notify(words, c + 1);
    } else {
      let looked = 0;
      while (Atomics.load(words, c + 1) === generation) {
        if (++looked < spins) continue;
        // a browser's main thread may not sleep: it goes on looking
        try {
          Atomics.wait(words, c + 1, generation);
        } catch {
          looked = 0;
        }
      }
    }
  }
}
