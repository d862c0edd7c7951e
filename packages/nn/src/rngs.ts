/**
 * Random keys for dropout. The key of a step is Threefry(seed; step) and live: the step moves on at every execution, so a replayed plan
 * draws new masks. Each dropout site in a forward pass has a number of its own, and each example draws by its row in the effective batch,
 * which is `firstRow` + its row in the batch at hand. So the same seed, step and row give the same mask on every device, however long the
 * batch is padded and however it is cut:
 *
 *     rngs.step = t; rngs.firstRow = 0;  await accumulate(rows 0…7)
 *     rngs.step = t; rngs.firstRow = 8;  await accumulate(rows 8…15)    draws what one batch of sixteen would in step t
 */
import { LowrankError, ops, quote, threefry2x32, type Device, type RandomKey, type Tensor } from "@lowrank/tensor";

export class Rngs {
  readonly #words: Tensor;
  #current: Tensor;
  #site = 0;
  #firstRow = 0;
  /** Executions so far; restore it to resume. */
  step = 0;

  constructor(device: Device, seed: number) {
    if (!Number.isSafeInteger(seed))
      throw new LowrankError("RandomError", `Rngs: the seed must be a whole number, got ${quote(seed)}`);
    const key = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0] as const;
    this.#words = device.live(
      [3],
      "u32",
      () => {
        const step = this.step++;
        return [...threefry2x32(key, [step >>> 0, Math.floor(step / 2 ** 32)]), this.#firstRow];
      },
      () => {
        this.step--;
      },
    );
    this.#current = this.#words;
  }

  /** The row of the effective batch that a batch begins with, from the next execution on. Default 0. */
  get firstRow(): number {
    return this.#firstRow;
  }

  set firstRow(row: number) {
    if (!Number.isInteger(row) || row < 0 || row >= 2 ** 31)
      throw new LowrankError("RandomError", `Rngs: the first row must be a whole number below 2^31, got ${quote(row)}`);
    this.#firstRow = row;
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
