/** What ran for one batch, which may be computed in several parts. */
import type { RanPlan } from "@lowrank/tensor";

const NOTHING: RanPlan = { arenaBytes: 0, flops: 0, fresh: false };

export class BatchPlan {
  #sum: RanPlan = NOTHING;

  add({ arenaBytes, flops, fresh }: RanPlan): void {
    this.#sum = {
      arenaBytes: Math.max(this.#sum.arenaBytes, arenaBytes),
      flops: this.#sum.flops + flops,
      fresh: this.#sum.fresh || fresh,
    };
  }

  /** Of all parts together; the next batch begins. */
  take(): RanPlan {
    const sum = this.#sum;
    this.#sum = NOTHING;
    return sum;
  }
}
