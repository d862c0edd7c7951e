/**
 * Dynamic loss scaling: torch's GradScaler. The scale is fed live, so a replayed step always uses the present one; whether the
 * gradients were finite is known on the device, where it guards every update, and told to the host once per step.
 */
import { LowrankError, NumericsError, ops, tolerateNonFinite, type Device, type Tensor } from "@lowrank/tensor";
import { checkOptions, fields, optional, positive, real, whole } from "@lowrank/tensor/check";

export interface LossScalerOptions {
  readonly initScale?: number;
  readonly growthFactor?: number;
  readonly backoffFactor?: number;
  readonly growthInterval?: number;
}

const RULES = fields<LossScalerOptions>(
  {
    initScale: optional(positive),
    growthFactor: optional(real({ above: 1 })),
    backoffFactor: optional(real({ above: 0, below: 1 })),
    growthInterval: optional(whole(1)),
  },
  {
    spelt: {
      init_scale: "initScale",
      growth_factor: "growthFactor",
      backoff_factor: "backoffFactor",
      growth_interval: "growthInterval",
    },
  },
);

/** A scale this small means that every step fails, whatever its scale. */
const LEAST_SCALE = 2 ** -24;

export interface LossScalerState {
  readonly scale: number;
  readonly tracker: number;
}

export class LossScaler {
  #scale: number;
  #tracker = 0;
  /** What was scaled last. */
  #loss: Tensor | undefined;
  /** Steps skipped so far. */
  skipped = 0;
  readonly #options: Required<LossScalerOptions>;

  /** Defaults: scale 65536, growth 2 after 2000 finite steps, backoff 0.5. */
  constructor(options: LossScalerOptions = {}) {
    this.#options = {
      initScale: 65536,
      growthFactor: 2,
      backoffFactor: 0.5,
      growthInterval: 2000,
      ...checkOptions("LossScaler", RULES, options),
    };
    this.#scale = Math.fround(this.#options.initScale);
  }

  get scale(): number {
    return this.#scale;
  }
  get state(): LossScalerState {
    return { scale: this.#scale, tracker: this.#tracker };
  }

  restore({ scale, tracker }: LossScalerState): void {
    this.#scale = scale;
    this.#tracker = tracker;
  }

  /** loss · scale, to be differentiated instead of the loss. */
  scaleLoss(loss: Tensor): Tensor {
    this.#loss = loss;
    return ops.mul(
      loss,
      this.#live(loss.device, () => this.#scale, loss),
    );
  }

  /**
   * Gradients of the scaled loss brought back: g · f32(1/scale). To be called before clipping and before anything else looks at them.
   * @returns the gradients, and a bool scalar: whether all of them are finite
   * @throws on half-precision gradients, whose small values are lost already
   */
  unscale(grads: readonly Tensor[]): { grads: Tensor[]; finite: Tensor } {
    const first = grads[0];
    if (first === undefined)
      throw new LowrankError("ShapeError", "unscale: there are no gradients; is every weight frozen?");
    const half = grads.findIndex((g) => g.dtype === "f16" || g.dtype === "bf16");
    if (half >= 0)
      throw new LowrankError(
        "PrecisionError",
        `unscale: gradient ${half} is ${grads[half]!.dtype}; weights that train are kept in f32`,
      );
    const inverse = this.#live(first.device, () => Math.fround(1 / this.#scale), first);
    const finite = grads
      .map((g) => ops.logicalNot(ops.cast(ops.amax(ops.cast(ops.logicalNot(ops.isfinite(g)), "i32")), "bool")))
      .reduce((a, b) => ops.logicalAnd(a, b));
    // a step that is skipped is no anomaly, until no smaller scale is left
    tolerateNonFinite(finite, this.#loss, () => this.#scale * this.#options.backoffFactor >= LEAST_SCALE);
    return { grads: grads.map((g) => ops.mul(g, inverse)), finite };
  }

  /**
   * After each step: `finite` and the loss as they were read from the device. A step that was not finite has changed nothing and halves the
   * scale; throws NumericsError where the loss itself, which no scale has touched, is not finite, and once no scale helps.
   * @param loss left out where the caller has judged it already
   */
  update(finite: boolean, loss: number = 0): void {
    const { growthFactor, backoffFactor, growthInterval } = this.#options;
    if (!finite) {
      this.skipped++;
      if (!Number.isFinite(loss))
        throw new NumericsError(
          `loss scaling: the loss itself is ${loss}, which no scale can mend: a label computed on the device may be no class, or the numbers break down before the loss; detectAnomaly names where`,
        );
      if (this.#scale * backoffFactor < LEAST_SCALE)
        throw new NumericsError(
          `loss scaling: gradients are not finite even at scale ${this.#scale}; the numbers break down elsewhere, detectAnomaly names where`,
        );
      this.#scale = Math.fround(this.#scale * backoffFactor);
      this.#tracker = 0;
      return;
    }
    if (++this.#tracker < growthInterval) return;
    this.#tracker = 0;
    const grown = Math.fround(this.#scale * growthFactor);
    if (Number.isFinite(grown)) this.#scale = grown;
  }

  #live(device: Device, value: () => number, like: Tensor): Tensor {
    const dtype = like.dtype === "f64" ? "f64" : "f32";
    return ops.reshape(
      device.live([1], dtype, () => [value()]),
      [],
    );
  }
}
