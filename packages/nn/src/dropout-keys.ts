/**
 * Random keys for dropout. The words are (seed, step) and live: the step moves on at every execution, so a replayed plan draws new
 * masks. Each dropout site in a forward pass has a number of its own; the same seed and step give the same masks on every device.
 */
import type { Device, RandomKey, Tensor } from "@lowrank/tensor";

export class DropoutKeys {
  readonly #words: Tensor;
  #site = 0;
  /** Executions so far; restore it to resume. */
  step = 0;

  constructor(device: Device, seed: number) {
    this.#words = device.live([2], "u32", () => [seed >>> 0, this.step++ >>> 0]);
  }

  /** A forward pass begins: sites are numbered from 0 again. */
  restart(): void { this.#site = 0; }

  next(): RandomKey { return { words: this.#words, site: this.#site++ }; }
}
