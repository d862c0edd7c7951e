/**
 * The other compute threads. A worker is either reading messages or, for a while after each run, asleep on a word of the shared
 * memory: waking it there takes a few microseconds, a message several times as long. Modules always come by message.
 *
 * Control block, i32 words: see `CONTROL`, then three words for each worker: what it does, messages sent to it, messages it has read; then the last
 * words of one that failed. The claims of `runTable` lie behind it.
 *
 * A thread that has ended must not be waited for, and while the caller waits no event reaches it. So a worker that throws says so in its word, and
 * of any other end the platform is asked now and then (`ComputeWorker.alive`). Time alone proves nothing: a unit may take long, a machine may sleep.
 */
import { DeviceError, LowrankError } from "../../errors.ts";
import { wordAt } from "./address.ts";
import type { Heap } from "./heap.ts";
import type { ComputeWorker, WasmModule } from "./platform.ts";
import { startWorker } from "./platform.ts";
import type { Watch } from "./run-table.ts";
import {
  AWAY,
  CALLED,
  CLAIM_WORDS,
  CONTROL,
  FAILED,
  LAST_WORDS,
  WAITING,
  WORKER_WORDS,
  workerSource,
} from "./worker-source.ts";

/** What all threads must know of a run; thread t's scratch is at scratch + t · threadScratch. */
export interface Run {
  readonly table: number;
  readonly threads: number;
  readonly scratch: number;
  readonly threadScratch: number;
}

/** Milliseconds between two looks of a caller that waits: an ended thread is noticed that much later, and a look costs microseconds. */
const LOOK_EVERY = 50;

export class WorkerPool {
  /** Index of the first word of the control block. */
  readonly control: number;
  /** Index of the first word of the threads' claims. */
  readonly claims: number;
  /** To be looked at while waiting for the others: throws when one of them has ended. */
  readonly watch: Watch = { look: () => this.#look(true), every: LOOK_EVERY };
  readonly #heap: Heap;
  readonly #workers: readonly ComputeWorker[];
  /** Address of a failed worker's last words. */
  readonly #lastWords: number;
  /** Why workers ended, by number, where an event told. */
  readonly #ended = new Map<number, string>();
  /** Size of the memory that workers have surely seen: they learn of growth between messages. */
  #seen = 0;

  private constructor(heap: Heap, workers: readonly ComputeWorker[]) {
    this.#heap = heap;
    this.#workers = workers;
    const words = CONTROL.workers + WORKER_WORDS * workers.length;
    const line = 4 * CLAIM_WORDS;
    const control = line * Math.ceil((4 * words + LAST_WORDS) / line);
    const bytes = control + line * (workers.length + 1);
    const at = heap.alloc(bytes);
    heap.bytes(at, bytes).fill(0);
    this.control = wordAt(at);
    this.#lastWords = at + 4 * words;
    this.claims = wordAt(at + control);
  }

  static async start(heap: Heap, count: number, hook?: string): Promise<WorkerPool> {
    const source = workerSource(hook);
    const workers: ComputeWorker[] = [];
    try {
      while (workers.length < count) workers.push(startWorker(source));
      const pool = new WorkerPool(heap, workers);
      await Promise.all(workers.map((_, i) => pool.#greet(i)));
      return pool;
    } catch (cause) {
      for (const worker of workers) worker.stop();
      throw new DeviceError(
        `wasm: compute threads did not start (${cause instanceof Error ? cause.message : String(cause)}); init with threads: 1 does without them`,
        { cause },
      );
    }
  }

  #greet(i: number): Promise<void> {
    const worker = this.#workers[i]!;
    return new Promise<void>((ready, fail) => {
      worker.hold(true);
      worker.onMessage(() => {
        worker.hold(false);
        ready();
      });
      worker.onEnd((why) => {
        if (!this.#ended.has(i)) this.#ended.set(i, why);
        fail(new Error(why));
      });
      worker.post({
        memory: this.#heap.memory,
        control: this.control,
        claims: this.claims,
        lastWords: this.#lastWords,
        tid: i + 1,
      });
    });
  }

  get size(): number {
    return this.#workers.length;
  }

  /** Whether every worker can be woken without a message. */
  get near(): boolean {
    const words = this.#words();
    return (
      this.#seen === words.byteLength &&
      this.#workers.every((_, i) => {
        const at = this.#at(i);
        return Atomics.load(words, at) === WAITING && Atomics.load(words, at + 1) === Atomics.load(words, at + 2);
      })
    );
  }

  load(module: WasmModule, names: readonly string[]): void {
    this.#workers.forEach((_, i) => this.#post(i, { module, names }));
  }

  /** Throws when a worker is known to have ended. */
  check(): void {
    this.#look(false);
  }

  /** Sets all workers to `run`. They take part in its barriers, so it is over when the caller has passed the last one. */
  begin({ table, threads, scratch, threadScratch }: Run): void {
    const words = this.#words();
    for (const [at, value] of [
      [CONTROL.table, table],
      [CONTROL.threads, threads],
      [CONTROL.scratch, scratch],
      [CONTROL.threadScratch, threadScratch],
    ] as const) {
      Atomics.store(words, this.control + at, value);
    }
    const grown = this.#seen !== words.byteLength;
    this.#seen = words.byteLength;
    this.#workers.forEach((worker, i) => {
      const at = this.#at(i);
      const read = Atomics.load(words, at + 1) === Atomics.load(words, at + 2);
      if (!grown && read && Atomics.compareExchange(words, at, WAITING, CALLED) === WAITING)
        return void Atomics.notify(words, at);
      if (!worker.alive()) throw this.#lost(i);
      this.#post(i, {});
    });
  }

  stop(): void {
    for (const worker of this.#workers) worker.stop();
  }

  #look(asking: boolean): void {
    const words = this.#words();
    this.#workers.forEach((worker, i) => {
      if (this.#ended.has(i) || Atomics.load(words, this.#at(i)) === FAILED || (asking && !worker.alive()))
        throw this.#lost(i);
    });
  }

  #lost(i: number): LowrankError {
    const spoken = this.#heap.bytes(this.#lastWords, LAST_WORDS);
    const why = spoken[0] === 0 ? this.#ended.get(i) : String.fromCharCode(...spoken.subarray(0, spoken.indexOf(0)));
    return new LowrankError(
      "DeviceLostError",
      `wasm: compute thread ${i + 1} of ${this.size} ended${why === undefined ? "" : ` (${why})`}: what the device held is lost; open another with init`,
    );
  }

  /** Counted first and looked at last, so that a worker about to fall asleep either sees the count or is sent back to its messages. */
  #post(i: number, message: unknown): void {
    const words = this.#words();
    Atomics.add(words, this.#at(i) + 1, 1);
    this.#workers[i]!.post(message);
    if (Atomics.compareExchange(words, this.#at(i), WAITING, AWAY) === WAITING) Atomics.notify(words, this.#at(i));
  }

  #words(): Int32Array {
    return new Int32Array(this.#heap.memory.buffer);
  }

  #at(i: number): number {
    return this.control + CONTROL.workers + WORKER_WORDS * i;
  }
}
