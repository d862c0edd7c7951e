/** What stands in the place of a projection, and is of its shape and weight to whoever looks. */
import { Projection, type Weight } from "@lowrank/nn";

export abstract class WrappedProjection extends Projection {
  readonly base: Projection;

  constructor(base: Projection) {
    super();
    this.base = base;
  }

  get inFeatures(): number {
    return this.base.inFeatures;
  }
  get outFeatures(): number {
    return this.base.outFeatures;
  }
  get weight(): Weight {
    return this.base.weight;
  }
  get bias(): Weight | undefined {
    return this.base.bias;
  }
  get fanInFanOut(): boolean {
    return this.base.fanInFanOut;
  }
}
