/**
 * The other compute threads. A worker is either reading messages or, for a while after each run, asleep on a word of the shared
 * memory: waking it there takes a few microseconds, a message several times as long. Modules always come by message.
 *
 * Control block, i32 words: see `CONTROL`, then three words for each worker: what it does, messages sent to it, messages it has read. The
 * claims of `runTable` lie behind it.
 */
import type { Heap } from "./heap.ts";
import type { ComputeWorker, WasmModule } from "./platform.ts";
import { startWorker } from "./platform.ts";
import { AWAY, CALLED, CLAIM_WORDS, CONTROL, WAITING, WORKER_WORDS, workerSource } from "./worker-source.ts";

/** What all threads must know of a run; thread t's scratch is at scratch + t · threadScratch. */
export interface Run {
  readonly table: number;
  readonly threads: number;
  readonly scratch: number;
  readonly threadScratch: number;
}

export class WorkerPool {
  /** Address of the control block. */
  readonly control: number;
  /** Address of the threads' claims. */
  readonly claims: number;
  readonly #heap: Heap;
  readonly #workers: readonly ComputeWorker[];
  /** Size of the memory that workers have surely seen: they learn of growth between messages. */
  #seen = 0;

  private constructor(heap: Heap, workers: readonly ComputeWorker[]) {
    this.#heap = heap;
    this.#workers = workers;
    const words = CONTROL.workers + WORKER_WORDS * workers.length;
    const lines = Math.ceil(words / CLAIM_WORDS);
    const bytes = 4 * CLAIM_WORDS * (lines + workers.length + 1);
    this.control = heap.alloc(bytes);
    this.claims = this.control + 4 * CLAIM_WORDS * lines;
    heap.bytes(this.control, bytes).fill(0);
  }

  static async start(heap: Heap, count: number): Promise<WorkerPool> {
    const source = workerSource();
    const workers = Array.from({ length: count }, () => startWorker(source));
    const pool = new WorkerPool(heap, workers);
    await Promise.all(workers.map((w, i) => new Promise<void>((ready) => {
      w.hold(true);
      w.onMessage(() => {
        w.hold(false);
        ready();
      });
      w.post({ memory: heap.memory, control: pool.control, claims: pool.claims, tid: i + 1 });
    })));
    return pool;
  }

  get size(): number { return this.#workers.length; }

  /** Whether every worker can be woken without a message. */
  get near(): boolean {
    const words = this.#words();
    return this.#seen === words.byteLength && this.#workers.every((_, i) => {
      const at = this.#at(i);
      return Atomics.load(words, at) === WAITING && Atomics.load(words, at + 1) === Atomics.load(words, at + 2);
    });
  }

  load(module: WasmModule, names: readonly string[]): void {
    this.#workers.forEach((_, i) => this.#post(i, { module, names }));
  }

  /** Sets all workers to `run`. They take part in its barriers, so it is over when the caller has passed the last one. */
  begin({ table, threads, scratch, threadScratch }: Run): void {
    const words = this.#words();
    const c = this.control >> 2;
    for (const [at, value] of [[CONTROL.table, table], [CONTROL.threads, threads], [CONTROL.scratch, scratch], [CONTROL.threadScratch, threadScratch]] as const) {
      Atomics.store(words, c + at, value);
    }
    const grown = this.#seen !== words.byteLength;
    this.#seen = words.byteLength;
    this.#workers.forEach((_, i) => {
      const at = this.#at(i);
      const read = Atomics.load(words, at + 1) === Atomics.load(words, at + 2);
      if (!grown && read && Atomics.compareExchange(words, at, WAITING, CALLED) === WAITING) Atomics.notify(words, at);
      else this.#post(i, {});
    });
  }

  stop(): void {
    for (const worker of this.#workers) worker.stop();
  }

  /** Counted first and looked at last, so that a worker about to fall asleep either sees the count or is sent back to its messages. */
  #post(i: number, message: unknown): void {
    const words = this.#words();
    Atomics.add(words, this.#at(i) + 1, 1);
    this.#workers[i]!.post(message);
    if (Atomics.compareExchange(words, this.#at(i), WAITING, AWAY) === WAITING) Atomics.notify(words, this.#at(i));
  }

  #words(): Int32Array { return new Int32Array(this.#heap.memory.buffer); }

  #at(i: number): number { return (this.control >> 2) + CONTROL.workers + WORKER_WORDS * i; }
}
