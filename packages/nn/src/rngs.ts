/**
 * Random keys for dropout. The words are (seed, step) and live: the step moves on at every execution, so a replayed plan draws new
 * masks. Each dropout site in a forward pass has a number of its own; the same seed and step give the same masks on every device.
 */
import { LowrankError, ops, quote, type Device, type RandomKey, type Tensor } from "@lowrank/tensor";

export class Rngs {
  readonly #words: Tensor;
  #current: Tensor;
  #site = 0;
  /** Executions so far; restore it to resume. */
  step = 0;

  constructor(device: Device, seed: number) {
    if (!Number.isSafeInteger(seed))
      throw new LowrankError("RandomError", `Rngs: the seed must be a whole number, got ${quote(seed)}`);
    this.#words = device.live(
      [2],
      "u32",
      () => [seed >>> 0, this.step++ >>> 0],
      () => {
        this.step--;
      },
    );
    this.#current = this.#words;
  }

  /** A forward pass begins: sites are numbered from 0 again. */
  restart(): void {
    this.#site = 0;
  }

  /** Number of the next site. */
  get site(): number {
    return this.#site;
  }

  /**
   * Runs `body` with sites numbered from `site` on, as they were when it ran there first. Its masks are drawn again, once `after`
   * is known, rather than kept from the first time.
   */
  replay<T>(site: number, after: Tensor, body: () => T): T {
    const saved = { site: this.#site, words: this.#current };
    this.#site = site;
    this.#current = ops.barrier(this.#words, after);
    try {
      return body();
    } finally {
      this.#site = saved.site;
      this.#current = saved.words;
    }
  }

  next(): RandomKey {
    return { words: this.#current, site: this.#site++ };
  }
}
