/**
 * The part that all allocators share: after each optimizer step scores are made, and where the schedule says so as many triplets stay
 * as the budget allows; E of the others becomes 0. Everything runs on the device as part of the training step. The host feeds the
 * schedule's numbers live and gets four numbers back, which say what was found wrong.
 */
import type { Weight } from "@lowrank/nn";
import { LowrankError, ops, type Device, type Parameter, type Tensor } from "@lowrank/tensor";
import type { AdaptiveMethod, AllocationRecord, AllocationStep, StepGradients, Triplets } from "./method.ts";
import { joinedE, zerosLike, type ScoreRule } from "./rule.ts";
import type { AllocatorOptions } from "./options.ts";
import { BudgetSchedule, type ScheduledStep } from "./schedule.ts";
import { aboveThreshold, bestOf } from "./selection.ts";

/** What the device can find wrong, by code. */
const ALARMS: readonly ((module: string) => string)[] = [
  () =>
    "the gradient of every lora_E is zero: gradients were cleared before the allocator ran, or the loss does not reach the adapter",
  (module) =>
    `no gradient has reached ${module} since training began; it takes no part in the loss, so leave it out of the target modules`,
  () =>
    "all scores are zero, so nothing tells one rank from another; a first choice after the learning rate's warm-up (tinit) has something to go by, and so has a final one after the first step (tfinal)",
  () => "a score is not finite",
];

export class BudgetAllocator implements AdaptiveMethod {
  readonly layers: readonly Triplets[];
  readonly schedule: BudgetSchedule;
  readonly compat: "strict" | "peft";
  readonly initialBudget: number;
  readonly targetBudget: number;
  readonly rule: ScoreRule;
  steps = 0;
  choices: readonly (readonly [number, number])[] = [];
  readonly #device: Device;
  /** Modules with at least one rank. */
  readonly #living: readonly Triplets[];
  /** 1 for triplets that live, [n]. */
  readonly #keep: Parameter;
  /** Largest |∂L/∂E| since the beginning, [n]. */
  readonly #seen: Parameter;
  /** What was found wrong first: code (0: nothing), module, step. */
  readonly #alarm: Parameter;

  constructor(
    layers: readonly Triplets[],
    rule: (living: readonly Triplets[]) => ScoreRule,
    options: AllocatorOptions,
  ) {
    this.layers = layers;
    this.#living = layers.filter(({ e }) => e.size > 0);
    const { totalSteps, tinit, tfinal, deltaT } = options;
    this.schedule = new BudgetSchedule({ totalSteps, tinit, tfinal, deltaT });
    this.compat = options.compat ?? "strict";
    this.initialBudget = layers.reduce((n, { e }) => n + e.size, 0);
    this.targetBudget = (options.targetRank ?? 8) * layers.length;
    const first = this.#living[0];
    if (first === undefined)
      throw new LowrankError("ConfigError", "rank allocation: there is no module with a rank to allocate");
    this.#checkBudgets(options.targetRank ?? 8);
    this.rule = rule(this.#living);
    this.#device = first.e.parameter.device;
    this.#keep = zerosLike(first.e, [this.initialBudget]);
    this.#keep.write(
      this.#keep.dtype === "f64"
        ? new Float64Array(this.initialBudget).fill(1)
        : new Float32Array(this.initialBudget).fill(1),
    );
    this.#seen = zerosLike(first.e, [this.initialBudget]);
    this.#alarm = zerosLike(first.e, [3]);
  }

  get kind(): string {
    return this.rule.kind;
  }

  #checkBudgets(targetRank: number): void {
    if (!Number.isInteger(targetRank) || targetRank < 1)
      throw new LowrankError(
        "ConfigError",
        `rank allocation: targetRank must be a positive integer, got ${targetRank}`,
      );
    if (this.targetBudget > this.initialBudget)
      throw new LowrankError(
        "ConfigError",
        `rank allocation: a target of ${this.targetBudget} (${targetRank} × ${this.layers.length} modules) is more than the ${this.initialBudget} ranks there are`,
      );
    if (this.compat === "peft" && this.targetBudget === this.initialBudget)
      throw new LowrankError(
        "ConfigError",
        `rank allocation: initial and target budget are both ${this.targetBudget}; PEFT fails on that (the 0-th smallest score does not exist), compat "strict" keeps everything`,
      );
  }

  get settled(): boolean {
    return this.steps >= this.schedule.finalStep;
  }

  regularizer(): Tensor | undefined {
    return this.rule.regularizer?.();
  }

  afterStep(gradients: StepGradients, when?: Tensor): Tensor {
    const chosen = this.compat === "peft" ? gradients.clipped : gradients.raw;
    const gradient = (weight: Weight): Tensor => {
      const g = chosen.get(weight);
      if (g === undefined)
        throw new LowrankError(
          "AllocatorError",
          `rank allocation: ${weight.name || "a weight"} has no gradient; pass the gradients of every adapter weight`,
        );
      return g;
    };
    const set = (parameter: Parameter, value: Tensor): void =>
      parameter.assign(when === undefined ? value : ops.where(when, value, parameter.value));
    const now = this.#live();
    const scores = this.rule.scores({
      gradient,
      learn: (parameter, next) => {
        set(parameter, ops.where(now.observe, next, parameter.value));
        return parameter.value;
      },
    });
    const strict = this.compat === "strict";
    const wrong = strict ? this.#findWrong(scores, gradient, now, set) : undefined;
    const decide = wrong === undefined ? now.select : ops.logicalAnd(now.select, ops.eq(wrong, 0));
    const best = strict ? bestOf(scores, now.budget) : aboveThreshold(scores, now.removed);
    const keep = ops.where(decide, ops.cast(best, this.#keep.dtype), this.#keep.value);
    set(this.#keep, keep);
    const enforce = ops.logicalOr(decide, now.hold);
    let at = 0;
    for (const { e } of this.#living) {
      const lives = ops.gt(ops.reshape(ops.slice(keep, 0, at, at + e.size), e.shape), 0);
      set(e.parameter, ops.where(ops.logicalAnd(enforce, ops.logicalNot(lives)), 0, e.value));
      at += e.size;
    }
    return ops.concat([ops.reshape(ops.sum(keep), [1]), this.#alarm.value], 0);
  }

  /** Schedule of the step that is executing. The first read of an execution counts it. */
  #live(): { observe: Tensor; select: Tensor; hold: Tensor; removed: Tensor; budget: Tensor; step: Tensor } {
    const { dtype } = this.#keep;
    const next = (): number[] => {
      const { observe, select, hold, budget, step } = this.#at(this.steps + 1);
      this.steps++;
      return [Number(observe), Number(select), Number(hold), this.initialBudget - budget, budget, step];
    };
    const flags = this.#device.live([6], dtype, next, () => {
      this.revoke();
    });
    const scalar = (i: number): Tensor => ops.reshape(ops.slice(flags, 0, i, i + 1), []);
    const flag = (i: number): Tensor => ops.gt(scalar(i), 0);
    return { observe: flag(0), select: flag(1), hold: flag(2), removed: scalar(3), budget: scalar(4), step: scalar(5) };
  }

  #at(step: number): ScheduledStep {
    return this.schedule.at(step, this.initialBudget, this.targetBudget);
  }

  /** Code of what is wrong in this step, a scalar; also kept, with module and step, the first time. */
  #findWrong(
    scores: Tensor,
    gradient: (w: Weight) => Tensor,
    now: { observe: Tensor; select: Tensor; step: Tensor },
    set: (p: Parameter, v: Tensor) => void,
  ): Tensor {
    const none = scores.device.zeros([], scores.dtype);
    const infinite = ops.gt(ops.sum(ops.cast(ops.logicalNot(ops.isfinite(scores)), scores.dtype)), 0);
    let code = ops.where(ops.logicalAnd(now.select, ops.le(ops.amax(scores), 0)), 3, none);
    let module = none;
    if (this.rule.usesGradients) {
      const size = ops.abs(joinedE(this.#living, gradient));
      set(this.#seen, ops.where(now.observe, ops.maximum(this.#seen.value, size), this.#seen.value));
      const modules = this.#living.length;
      const owner = this.#device.tensor(
        Int32Array.from(this.#living.flatMap(({ e }, m) => Array<number>(e.size).fill(m))),
        [1, size.size],
        "i32",
      );
      const grid = ops.expand(owner, [modules, size.size]);
      const reach = ops.amax(
        ops.where(
          ops.eq(grid, ops.iota(grid, 0)),
          ops.expand(ops.reshape(this.#seen.value, [1, size.size]), grid.shape),
          0,
        ),
        1,
      );
      // the first unreached module has the largest distance from the end
      const distance = ops.amax(
        ops.where(ops.gt(reach, 0), 0, ops.cast(ops.sub(modules, ops.iota(reach, 0)), scores.dtype)),
      );
      const unreached = ops.gt(distance, 0);
      module = ops.where(unreached, ops.sub(modules, distance), 0);
      // a final choice at the first step comes before anything was observed, which says nothing of any module
      if (this.schedule.finalStep > 1) code = ops.where(ops.logicalAnd(now.select, unreached), 2, code);
      code = ops.where(ops.logicalAnd(now.observe, ops.le(ops.amax(size), 0)), 1, code);
    }
    code = ops.where(infinite, 4, code);
    const found = ops.concat(
      [code, module, now.step].map((x) => ops.reshape(x, [1])),
      0,
    );
    set(this.#alarm, ops.where(ops.eq(ops.slice(this.#alarm.value, 0, 0, 1), 0), found, this.#alarm.value));
    return code;
  }

  check(report: ArrayLike<number>): AllocationStep {
    const { select, budget, step } = this.#at(this.steps);
    this.#raise(report[1]!, report[2]!, report[3]!);
    if (select) this.choices = [...this.choices, [step, report[0]!]];
    return { step, budget, selected: select, kept: report[0]! };
  }

  #raise(code: number, module: number, step: number): void {
    if (code === 0) return;
    throw new LowrankError(
      "AllocatorError",
      `${this.kind}, step ${step}: ${ALARMS[code - 1]!(this.#living[module]?.name ?? "")}`,
    );
  }

  revoke(): void {
    this.steps--;
  }

  async masks(): Promise<Map<string, readonly boolean[]>> {
    const keep = await this.#keep.value.floats();
    let at = 0;
    return new Map(
      this.layers.map(({ name, e }) => [name, Array.from(keep.subarray(at, (at += e.size)), (v) => v > 0)]),
    );
  }

  async finish(): Promise<AllocationRecord> {
    const { finalStep } = this.schedule;
    const [code, module, step] = await this.#alarm.value.floats();
    this.#raise(code!, module!, step!);
    if (this.compat === "strict" && this.steps < finalStep) {
      throw new LowrankError(
        "AllocatorError",
        `${this.kind}: training ended after ${this.steps} steps, before the final choice at step ${finalStep} (totalSteps ${this.schedule.totalSteps} − tfinal ${this.schedule.tfinal}); give totalSteps as the steps that are really made`,
      );
    }
    const masks = await this.masks();
    const modules = this.layers.map(({ name, e }) => ({
      module: name,
      initial: e.size,
      kept: masks.get(name)!.filter(Boolean).length,
      mask: masks.get(name)!,
    }));
    return {
      method: this.kind,
      reference: this.rule.reference,
      compat: this.compat,
      calls: this.steps,
      budgets: Array.from(
        { length: this.steps },
        (_, i) => this.schedule.at(i + 1, this.initialBudget, this.targetBudget).budget,
      ),
      choices: this.choices,
      initialBudget: this.initialBudget,
      targetBudget: this.targetBudget,
      finalizedAt: this.steps >= finalStep ? finalStep : null,
      kept: modules.reduce((n, m) => n + m.kept, 0),
      modules,
    };
  }

  state(): Map<string, Parameter> {
    return new Map([...this.rule.state(), ["keep", this.#keep], ["seen", this.#seen], ["alarm", this.#alarm]]);
  }

  dispose(): void {
    for (const parameter of this.state().values()) parameter.dispose();
  }
}
