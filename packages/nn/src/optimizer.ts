/**
 * Optimizers. Moments are parameters updated in place; whatever depends on the step is computed on the host in f64 and fed live,
 * so that a replayed plan can never freeze it.
 */
import {
  formatShape,
  LowrankError,
  ops,
  quote,
  withScope,
  type Device,
  type Parameter,
  type Tensor,
} from "@lowrank/tensor";
import {
  anyOf,
  callback,
  checkOptions,
  fields,
  instance,
  listOf,
  optional,
  probability,
  real,
  type Rule,
} from "@lowrank/tensor/check";
import { Weight } from "./weight.ts";

/** A learning rate, or the learning rate of the step after `step` finished ones. */
export type LearningRate = number | ((step: number) => number);

export interface ParameterGroup {
  readonly weights: readonly Weight[];
  readonly lr?: LearningRate;
  /** What the rate is multiplied by, the optimizer's or the group's own. Default 1. */
  readonly lrScale?: number;
  readonly weightDecay?: number;
}

const notNegative = real({ min: 0 });
const learningRate: Rule<LearningRate> = anyOf(notNegative, callback<(step: number) => number>());
const SPELT = { learningRate: "lr", learning_rate: "lr", weight_decay: "weightDecay", params: "weights" };
const GROUP = fields<ParameterGroup>(
  {
    weights: listOf(instance(Weight)),
    lr: optional(learningRate),
    lrScale: optional(notNegative),
    weightDecay: optional(notNegative),
  },
  { spelt: SPELT },
);

interface Group {
  readonly lr: LearningRate;
  readonly lrScale: number;
  readonly weightDecay: number;
  readonly weights: readonly Weight[];
}

export abstract class Optimizer {
  readonly device: Device;
  readonly weights: readonly Weight[];
  protected readonly groups: readonly Group[];
  /** Finished steps. Moves on at every execution of an update, replays included. */
  steps = 0;

  constructor(target: readonly Weight[] | readonly ParameterGroup[], lr: LearningRate, weightDecay: number) {
    if (!Array.isArray(target) || target.length === 0 || target[0] instanceof Weight)
      checkOptions("optimizer", listOf(instance(Weight)), target);
    else checkOptions("optimizer", listOf(GROUP), target);
    const groups = (
      target.length > 0 && "weights" in target[0]! ? target : [{ weights: target }]
    ) as readonly ParameterGroup[];
    this.groups = groups.map((g) => ({
      weights: g.weights,
      lr: g.lr ?? lr,
      lrScale: g.lrScale ?? 1,
      weightDecay: g.weightDecay ?? weightDecay,
    }));
    this.weights = this.groups.flatMap((g) => g.weights);
    const first = this.weights[0];
    if (first === undefined)
      throw new LowrankError("NameError", "an optimizer needs at least one trainable weight; is everything frozen?");
    this.#refuseFrozen();
    if (new Set(this.weights).size !== this.weights.length)
      throw new LowrankError("NameError", "an optimizer was given the same weight twice");
    this.device = first.parameter.device;
  }

  #refuseFrozen(): void {
    const frozen = this.weights.filter((w) => !w.trainable);
    if (frozen.length > 0)
      throw new LowrankError(
        "NameError",
        `an optimizer trains what it is given, and ${frozen.length} of these ${this.weights.length} weights ${frozen.length === 1 ? "is" : "are"} frozen (${frozen
          .slice(0, 3)
          .map((w) => w.name || "unnamed")
          .join(", ")}${frozen.length > 3 ? ", …" : ""}); give it model.trainableWeights(), or unfreeze them`,
      );
  }

  /** Values to differentiate with respect to, in the order `step` wants gradients. */
  get parameters(): Parameter[] {
    return this.weights.map((w) => w.parameter);
  }

  #guard: Tensor | undefined;

  /**
   * Assigns the updated values; they are written at the next realize or compiled run. `grads` are in the order of `parameters`.
   * @param when bool scalar: where it is false, weights and optimizer state stay as they are; tell `revoke` afterwards
   * @throws ShapeError, LowrankError (NameError) when weights were frozen since the optimizer was made
   */
  step(grads: readonly Tensor[], when?: Tensor): void {
    this.#refuseFrozen();
    if (grads.length !== this.weights.length)
      throw new LowrankError(
        "ShapeError",
        `step: ${grads.length} gradients for ${this.weights.length} weights; give those of optimizer.parameters, in order`,
      );
    grads.forEach((g, i) => {
      const { name, shape } = this.weights[i]!;
      if (g.shape.join() !== shape.join())
        throw new LowrankError(
          "ShapeError",
          `step: the gradient of ${name || `weight ${i}`} ${formatShape(shape)} is ${formatShape(g.shape)}; give those of optimizer.parameters, in order`,
        );
    });
    this.#guard = when;
    try {
      withScope(this.kind, () => {
        this.update(grads);
      });
    } finally {
      this.#guard = undefined;
    }
  }

  /** Takes back the count of the last step: the device skipped it. */
  revoke(): void {
    this.steps--;
  }

  /** What its part of a step is called in messages and profiles. */
  protected abstract readonly kind: string;
  protected abstract update(grads: readonly Tensor[]): void;

  protected assign(parameter: Parameter, value: Tensor): void {
    parameter.assign(this.#guard === undefined ? value : ops.where(this.#guard, value, parameter.value));
  }

  /** Everything that training changes besides the weights, by name. */
  abstract state(): Map<string, Parameter>;

  protected lrOf(group: Group, finished: number): number {
    const lr = typeof group.lr === "number" ? group.lr : group.lr(finished);
    if (!Number.isFinite(lr) || lr < 0)
      throw new LowrankError(
        "ConfigError",
        `${this.kind}: "lr" must be a number at least 0, and its function gave ${quote(lr)} for step ${finished + 1}`,
      );
    return lr * group.lrScale;
  }

  /** What the rate of each weight is multiplied by. */
  lrScales(): ReadonlyMap<Weight, number> {
    return new Map(this.groups.flatMap(({ weights, lrScale }) => weights.map((weight) => [weight, lrScale])));
  }

  /** A live vector computed once per execution, which counts a step: `values` is given the number of finished ones. */
  protected live(count: number, values: (finished: number) => number[]): Tensor[] {
    const next = (): number[] => {
      const numbers = values(this.steps);
      // counted last: a schedule may throw
      this.steps++;
      return numbers;
    };
    const all = this.device.live([count], this.device.defaultFloat, next, () => {
      this.steps--;
    });
    return Array.from({ length: count }, (_, i) => ops.reshape(ops.slice(all, 0, i, i + 1), []));
  }

  protected slots(name: string): Parameter[] {
    return this.weights.map((w) => {
      const p = this.device.parameter(new Float32Array(w.size), w.shape, w.parameter.dtype);
      this.#named.set(`${name}.${w.name}`, p);
      return p;
    });
  }

  readonly #named = new Map<string, Parameter>();
  protected namedSlots(): Map<string, Parameter> {
    return this.#named;
  }

  dispose(): void {
    for (const p of this.#named.values()) p.dispose();
  }
}

export interface AdamWOptions {
  readonly lr?: LearningRate;
  readonly betas?: readonly [number, number];
  readonly eps?: number;
  readonly weightDecay?: number;
}

const ADAMW = fields<AdamWOptions>(
  {
    lr: optional(learningRate),
    betas: optional(listOf(probability, { min: 2, max: 2 }) as unknown as Rule<readonly [number, number]>),
    eps: optional(notNegative),
    weightDecay: optional(notNegative),
  },
  { spelt: { ...SPELT, beta1: "betas", beta2: "betas", epsilon: "eps" } },
);

/** Decoupled weight decay (Loshchilov & Hutter 2019) with torch's arithmetic: eps is added after the bias correction of √v. */
export class AdamW extends Optimizer {
  protected readonly kind = "AdamW";
  readonly #betas: readonly [number, number];
  readonly #eps: number;
  readonly #m: Parameter[];
  readonly #v: Parameter[];

  /** Defaults: lr 1e-3, betas (0.9, 0.999), eps 1e-8, weight decay 0.01. */
  constructor(target: readonly Weight[] | readonly ParameterGroup[], options: AdamWOptions = {}) {
    checkOptions("AdamW", ADAMW, options);
    super(target, options.lr ?? 1e-3, options.weightDecay ?? 0.01);
    this.#betas = options.betas ?? [0.9, 0.999];
    this.#eps = options.eps ?? 1e-8;
    this.#m = this.slots("m");
    this.#v = this.slots("v");
  }

  protected update(grads: readonly Tensor[]): void {
    const [beta1, beta2] = this.#betas;
    // per group: 1 − lr·wd, then lr/(1 − β₁ᵗ); last 1/√(1 − β₂ᵗ)
    const scalars = this.live(2 * this.groups.length + 1, (finished) => {
      const rates = this.groups.map((g) => this.lrOf(g, finished));
      const t = finished + 1;
      return [
        ...this.groups.flatMap((g, i) => [1 - rates[i]! * g.weightDecay, rates[i]! / (1 - beta1 ** t)]),
        1 / Math.sqrt(1 - beta2 ** t),
      ];
    });
    const correction = scalars[scalars.length - 1]!;
    let at = 0;
    this.groups.forEach((group, i) => {
      const [decay, size] = [scalars[2 * i]!, scalars[2 * i + 1]!];
      for (const weight of group.weights) {
        const g = grads[at]!;
        const [m0, v0] = [this.#m[at]!, this.#v[at]!];
        const m = ops.add(m0.value, ops.mul(ops.sub(g, m0.value), 1 - beta1));
        const v = ops.add(ops.mul(v0.value, beta2), ops.mul(ops.square(g), 1 - beta2));
        const step = ops.div(m, ops.add(ops.mul(ops.sqrt(v), correction), this.#eps));
        this.assign(weight.parameter, ops.sub(ops.mul(weight.value, decay), ops.mul(step, size)));
        this.assign(m0, m);
        this.assign(v0, v);
        at++;
      }
    });
  }

  state(): Map<string, Parameter> {
    return this.namedSlots();
  }
}

export interface SGDOptions {
  readonly lr?: LearningRate;
  readonly momentum?: number;
  readonly weightDecay?: number;
}

const SGD_RULES = fields<SGDOptions>(
  { lr: optional(learningRate), momentum: optional(notNegative), weightDecay: optional(notNegative) },
  { spelt: SPELT },
);

/** torch's SGD: coupled weight decay, momentum buffer b ← μ·b + g. */
export class SGD extends Optimizer {
  protected readonly kind = "SGD";
  readonly #momentum: number;
  readonly #buffers: Parameter[];

  constructor(target: readonly Weight[] | readonly ParameterGroup[], options: SGDOptions = {}) {
    checkOptions("SGD", SGD_RULES, options);
    super(target, options.lr ?? 1e-3, options.weightDecay ?? 0);
    this.#momentum = options.momentum ?? 0;
    this.#buffers = this.#momentum === 0 ? [] : this.slots("momentum");
  }

  protected update(grads: readonly Tensor[]): void {
    const rates = this.live(this.groups.length, (finished) => this.groups.map((g) => this.lrOf(g, finished)));
    let at = 0;
    this.groups.forEach((group, i) => {
      for (const weight of group.weights) {
        const value = weight.value;
        let g = group.weightDecay === 0 ? grads[at]! : ops.add(grads[at]!, ops.mul(value, group.weightDecay));
        const buffer = this.#buffers[at];
        if (buffer !== undefined) {
          g = ops.add(ops.mul(buffer.value, this.#momentum), g);
          this.assign(buffer, g);
        }
        this.assign(weight.parameter, ops.sub(value, ops.mul(g, rates[i]!)));
        at++;
      }
    });
  }

  state(): Map<string, Parameter> {
    return this.namedSlots();
  }
}
