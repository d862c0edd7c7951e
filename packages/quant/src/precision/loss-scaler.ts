/**
 * torch's GradScaler with its state on the device: scale and growth tracker are parameters that the compiled step updates, so a step
 * need not wait for the host to learn whether its gradients were finite. `LossScaler` of nn is the same machine with its state on the
 * host; that one suits optimisers whose step count must be taken back at once.
 */
import type { LossScalerOptions, LossScalerState } from "@lowrank/nn";
import { LowrankError, NumericsError, ops, type Device, type Parameter, type Tensor } from "@lowrank/tensor";

/** Where backing off ends: when this scale fails, no scale helps. */
const LEAST_SCALE = 2 ** -24;

export class DeviceLossScaler {
  /** f32 [1]. */
  readonly #scale: Parameter;
  /** i32 [1]: finite steps since the scale last changed. */
  readonly #tracker: Parameter;
  /** i32 [1]. */
  readonly #skipped: Parameter;
  readonly #options: Required<LossScalerOptions>;

  /** Defaults: scale 65536, growth 2 after 2000 finite steps, backoff 0.5. */
  constructor(device: Device, options: LossScalerOptions = {}) {
    this.#options = { initScale: 65536, growthFactor: 2, backoffFactor: 0.5, growthInterval: 2000, ...options };
    this.#scale = device.parameter([this.#options.initScale], [1], "f32");
    this.#tracker = device.parameter([0], [1], "i32");
    this.#skipped = device.parameter([0], [1], "i32");
  }

  /** loss · scale, to be differentiated instead of the loss. */
  scaleLoss(loss: Tensor): Tensor { return ops.mul(loss, ops.reshape(this.#scale.value, [])); }

  /**
   * Gradients of the scaled loss brought back: g · f32(1/scale). Before clipping, before `update`, and before anything else looks at them.
   * @returns the gradients, and a bool scalar for `optimizer.step` and `update`: whether all of them are finite
   * @throws LowrankError (PrecisionError) on half-precision gradients, whose small values are lost already
   */
  unscale(grads: readonly Tensor[]): { grads: Tensor[]; finite: Tensor } {
    if (grads.length === 0) throw new LowrankError("ShapeError", "unscale: there are no gradients; is every weight frozen?");
    const half = grads.findIndex((g) => g.dtype === "f16" || g.dtype === "bf16");
    if (half >= 0) throw new LowrankError("PrecisionError", `unscale: gradient ${half} is ${grads[half]!.dtype}; weights that train are kept in f32`);
    const inverse = ops.reshape(ops.div(1, this.#scale.value), []);
    // a maximum is NaN where any element is
    const finite = grads.map((g) => ops.isfinite(ops.amax(ops.abs(g)))).reduce((a, b) => ops.logicalAnd(a, b));
    return { grads: grads.map((g) => ops.mul(g, inverse)), finite };
  }

  /** Assigns the next state; part of the step, after `unscale`. */
  update(finite: Tensor): void {
    const { growthFactor, backoffFactor, growthInterval } = this.#options;
    const [scale, tracker] = [this.#scale.value, this.#tracker.value];
    const ok = ops.reshape(finite, [1]);
    const count = ops.add(tracker, 1);
    const due = ops.ge(count, growthInterval);
    const grown = ops.mul(scale, growthFactor);
    const kept = ops.where(ops.logicalAnd(due, ops.isfinite(grown)), grown, scale);
    this.#scale.assign(ops.where(ok, kept, ops.maximum(ops.mul(scale, backoffFactor), LEAST_SCALE)));
    this.#tracker.assign(ops.where(ops.logicalAnd(ok, ops.logicalNot(due)), count, 0));
    this.#skipped.assign(ops.add(this.#skipped.value, ops.cast(ops.logicalNot(ok), "i32")));
  }

  /** What the state is after the steps so far; waits for them. Throws NumericsError when the scale has reached its end. */
  async read(): Promise<LossScalerState & { readonly skipped: number }> {
    const [scale, tracker, skipped] = await Promise.all([this.#scale, this.#tracker, this.#skipped].map(async (p) => Number((await p.data())[0])));
    if (scale! <= LEAST_SCALE) throw new NumericsError(`loss scaling: the scale fell to ${scale} after ${skipped} skipped steps; the numbers break down elsewhere, detectAnomaly names where`);
    return { scale: scale!, tracker: tracker!, skipped: skipped! };
  }

  restore({ scale, tracker, skipped = 0 }: LossScalerState & { readonly skipped?: number }): void {
    this.#scale.write(Float32Array.of(scale));
    this.#tracker.write(Int32Array.of(tracker));
    this.#skipped.write(Int32Array.of(skipped));
  }

  dispose(): void { for (const p of [this.#scale, this.#tracker, this.#skipped]) p.dispose(); }
}
