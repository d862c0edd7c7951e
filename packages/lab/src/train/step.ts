/**
 * The training step: gradients of a batch, added up part by part where it is computed in parts (`accumulate`), and one update (`apply`). A
 * batch that is one part is one compiled program; parameters and moments are updated in place.
 *
 * The loss of several parts is that of the undivided batch: the sum over all targets that count, divided by how many the whole batch has,
 * never a mean of the parts' means. Between the two, where gradients are ready and nothing has moved yet, is the place of an all-reduce.
 */
import { clipGradNorm, gradNorm, LossScaler, Rngs, type Optimizer, type Weight } from "@lowrank/nn";
import type { AllocationStep } from "@lowrank/peft";
import {
  bytesOf,
  compile,
  grad,
  ops,
  type Compiled,
  type CompiledInfo,
  type CompileInputs,
  type Device,
  type DType,
  type DTypeTrace,
  type Parameter,
  type RanPlan,
  type Tensor,
} from "@lowrank/tensor";
import type { TrainOptions } from "../config/study.ts";
import type { Batch } from "../data/examples.ts";
import type { Task } from "../records/task.ts";
import type { AdaptedBase } from "./adapt.ts";
import { anomalyIn } from "./anomaly.ts";
import { BatchPlan } from "./batch-plan.ts";
import { GroupNorms } from "../bases/gradient-groups.ts";
import { optimizerOf, type OptimizerWords } from "./optimizers.ts";
import type { Stateful } from "./state.ts";
import { stepParts } from "./step-parts.ts";

export interface StepResult {
  /** Mean loss over what counts in the batch. */
  readonly loss: number;
  /** Global gradient norm before clipping. */
  readonly norm: number;
  /** The same of each group of weights (`gradient-groups.ts`), where there are several. */
  readonly norms: Readonly<Record<string, number>>;
  /** What the training objective holds beside the loss: AdaLoRA's orthogonality term. */
  readonly regularizer: number;
  /** Loss scaling found a gradient that is not finite: nothing was changed. */
  readonly skipped: boolean;
  readonly allocation: AllocationStep | undefined;
  /** What ran: operations of all parts together, the largest arena, and whether something had to be planned first. */
  readonly plan: RanPlan;
}

type Outputs = Record<string, Tensor>;
type Inputs = Readonly<Record<string, Tensor>>;

/** Gradients, unscaled; `finite` where a loss scaler looks at them. */
interface Gradients {
  readonly loss: Tensor;
  readonly grads: readonly Tensor[];
  readonly finite: Tensor | undefined;
}

/** What trains: a base with a method on it. */
export type Trainable = Pick<
  AdaptedBase,
  "base" | "trainable" | "allocator" | "allocatorSees" | "lrScales" | "regularizer"
>;

export interface StepOptions extends OptimizerWords {
  readonly clip: TrainOptions["clip"];
  /** Learning rate after that many finished steps. */
  readonly lr: (finished: number) => number;
  readonly dropoutSeed: number;
}

/** Input of the accumulating program beside the batch: targets that count in all of it. */
const COUNTED = "counted.in.batch";

export class TrainingStep {
  readonly scaler: LossScaler | undefined;
  readonly #task: Pick<Task, "loss">;
  readonly #adapted: Trainable;
  readonly #options: StepOptions;
  readonly #device: Device;
  readonly #rngs: Rngs;
  readonly #optimizer: Optimizer;
  readonly #whole: Compiled<Outputs>;
  readonly #accumulating: Compiled<Outputs>;
  readonly #applying: Compiled<Outputs>;
  readonly #norms: GroupNorms;
  readonly #plan = new BatchPlan();
  /** Sums of gradients, zero between two steps; made when a batch first comes in parts. */
  #sums: Parameter[] | undefined;
  /** 1 while every gradient of the batch is finite. */
  #sound: Parameter | undefined;
  #dtypes: DTypeTrace | undefined;

  constructor(task: Pick<Task, "loss">, adapted: Trainable, options: StepOptions, device: Device) {
    this.#task = task;
    this.#adapted = adapted;
    this.#options = options;
    this.#device = device;
    this.#rngs = new Rngs(device, options.dropoutSeed);
    const named = adapted.trainable.map(({ name, weight }) => [name, weight] as const);
    this.#optimizer = optimizerOf(named, options, options.lr, adapted.lrScales);
    this.#norms = new GroupNorms(this.#optimizer, adapted);
    // small gradients of half-precision products would be rounded to nothing; bf16 has f32's range
    this.scaler = adapted.base.precision?.compute === "f16" ? new LossScaler() : undefined;
    this.#whole = compile(device, (inputs: Record<string, Tensor>) => {
      const loss = this.#forward(inputs, "mean");
      const extra = this.#regularizer();
      return this.#update(this.#backward(loss, extra === undefined ? loss : ops.add(loss, extra)), extra);
    });
    this.#accumulating = compile(device, (inputs: Record<string, Tensor>) => this.#add(inputs));
    this.#applying = compile(device, () => this.#applySums());
  }

  /** One optimizer step on a batch that is computed in these parts. */
  async run(parts: readonly Batch[]): Promise<StepResult> {
    const result = await this.#train(parts);
    this.#dtypes ??= (this.#whole.info()[0] ?? this.#accumulating.info()[0])?.dtypes;
    return result;
  }

  async #train(parts: readonly Batch[]): Promise<StepResult> {
    if (parts.length === 1) return this.#finish(await this.#run(this.#whole, parts[0]!.inputs));
    const counted = parts.reduce((sum, part) => sum + part.counted, 0);
    const draws = this.#rngs.step;
    let [loss, row] = [0, 0];
    for (const part of parts) {
      // each row draws as it would in the undivided batch
      this.#rngs.step = draws;
      this.#rngs.firstRow = row;
      loss += await this.accumulate(part, counted);
      row += part.members.length;
    }
    this.#rngs.step = draws + 1;
    this.#rngs.firstRow = 0;
    return this.apply(loss);
  }

  /**
   * Adds the gradients of a part. Returns its part of the loss.
   * @param counted targets that count in the whole batch
   */
  async accumulate(part: Batch, counted: number): Promise<number> {
    this.#buffers();
    const share = { data: Float64Array.of(counted), shape: [1], dtype: this.#device.defaultFloat };
    const { loss } = await this.#run(this.#accumulating, { ...part.inputs, [COUNTED]: share });
    return loss!.item();
  }

  /** Updates by what was accumulated. @param loss of the whole batch */
  async apply(loss: number): Promise<StepResult> {
    return { ...(await this.#finish(await this.#run(this.#applying, {}), loss)), loss };
  }

  /**
   * The operation that made the first value which is not finite in a step that loss scaling gave up: it has changed nothing, so it can be looked at
   * again. Undefined where nothing is found.
   */
  blame(parts: readonly Batch[]): Promise<string | undefined> {
    return anomalyIn(this.#device, () => {
      this.#rngs.step--;
      return this.#train(parts);
    });
  }

  async #run(compiled: Compiled<Outputs>, inputs: CompileInputs): Promise<Outputs> {
    const outputs = await compiled(inputs);
    this.#plan.add(compiled.ran!);
    return outputs;
  }

  #forward(inputs: Inputs, reduction: "mean" | "sum"): Tensor {
    const { base } = this.#adapted;
    base.model.train(this.#rngs);
    return this.#task.loss(base, inputs, reduction);
  }

  #backward(loss: Tensor, objective: Tensor): Gradients {
    const { scaler } = this;
    const scaled = grad(scaler === undefined ? objective : scaler.scaleLoss(objective), this.#optimizer.parameters);
    return { loss, ...(scaler === undefined ? { grads: scaled, finite: undefined } : scaler.unscale(scaled)) };
  }

  #update({ loss, grads: raw, finite }: Omit<Gradients, "loss"> & { loss?: Tensor }, extra?: Tensor): Outputs {
    const { clip } = this.#options;
    const { allocator, allocatorSees } = this.#adapted;
    const { grads, norm } = clip === null ? { grads: raw, norm: gradNorm(raw) } : clipGradNorm(raw, clip);
    this.#optimizer.step(grads, finite);
    const byWeight = (list: readonly Tensor[]): ReadonlyMap<Weight, Tensor> =>
      new Map(this.#optimizer.weights.map((w, i) => [w, list[i]!]));
    const report = allocator?.afterStep(
      {
        raw: byWeight(allocatorSees === "clipped" ? grads : raw),
        clipped: byWeight(allocatorSees === "raw" ? raw : grads),
      },
      finite,
    );
    return {
      ...(loss === undefined ? {} : { loss }),
      norm,
      ...this.#norms.of(raw),
      ...(extra === undefined ? {} : { extra }),
      ...(finite === undefined ? {} : { finite }),
      ...(report === undefined ? {} : { report }),
    };
  }

  #buffers(): { sums: Parameter[]; sound: Parameter } {
    const float = this.#device.defaultFloat;
    this.#sums ??= this.#optimizer.weights.map(({ size, shape, parameter }) =>
      this.#device.parameter(new Float64Array(size), shape, parameter.dtype),
    );
    this.#sound ??= this.#device.parameter(Float64Array.of(1), [], float);
    return { sums: this.#sums, sound: this.#sound };
  }

  #add(inputs: Record<string, Tensor>): Outputs {
    const { [COUNTED]: counted, ...rest } = inputs;
    const { sums, sound } = this.#buffers();
    const loss = ops.div(this.#forward(rest, "sum"), ops.reshape(counted!, []));
    const { grads, finite } = this.#backward(loss, loss);
    sums.forEach((sum, i) => {
      const next = ops.add(sum.value, grads[i]!);
      sum.assign(finite === undefined ? next : ops.where(finite, next, sum.value));
    });
    if (finite !== undefined) sound.assign(ops.where(finite, sound.value, 0));
    return { loss };
  }

  #regularizer(): Tensor | undefined {
    const { allocator, regularizer } = this.#adapted;
    return allocator === undefined ? regularizer?.() : allocator.regularizer();
  }

  #applySums(): Outputs {
    const { sums, sound } = this.#buffers();
    const extra = this.#regularizer();
    const own = extra === undefined ? undefined : grad(extra, this.#optimizer.parameters);
    const grads = sums.map((sum, i) => (own === undefined ? sum.value : ops.add(sum.value, own[i]!)));
    const finite = this.scaler === undefined ? undefined : ops.gt(sound.value, 0);
    const outputs = this.#update({ grads, finite }, extra);
    for (const sum of sums) sum.assign(this.#device.zeros(sum.shape, sum.dtype));
    if (this.scaler !== undefined) sound.assign(ops.add(this.#device.zeros([], sound.dtype), 1));
    return outputs;
  }

  async #finish(out: Outputs, known?: number): Promise<StepResult> {
    const { allocator } = this.#adapted;
    const skipped = out["finite"] !== undefined && (await out["finite"].item()) === 0;
    if (skipped) {
      this.#optimizer.revoke();
      allocator?.revoke();
    }
    const loss = known ?? (await out["loss"]!.item());
    this.scaler?.update(!skipped, loss);
    const allocation =
      skipped || out["report"] === undefined ? undefined : allocator?.check(await out["report"].floats());
    return {
      loss,
      norm: await out["norm"]!.item(),
      norms: await this.#norms.read(out),
      regularizer: out["extra"] === undefined ? 0 : await out["extra"].item(),
      skipped,
      allocation,
      plan: this.#plan.take(),
    };
  }

  /** The plan for parts of these shapes, known without running. @param parts how many parts a batch has */
  plan(inputs: CompileInputs, parts = 1): CompiledInfo {
    if (parts === 1) return this.#whole.plan(specsOf(inputs));
    this.#buffers();
    return this.#accumulating.plan({
      ...specsOf(inputs),
      [COUNTED]: { shape: [1], dtype: this.#device.defaultFloat },
    });
  }

  /** The plan of the update by what was accumulated. */
  planApplying(): CompiledInfo {
    this.#buffers();
    return this.#applying.plan({});
  }

  /** One plan per batch shape so far, in the order in which they were met. */
  plans(): readonly CompiledInfo[] {
    return [...this.#whole.info(), ...this.#accumulating.info(), ...this.#applying.info()];
  }

  /** dtypes of the training's first step, read off its graph; undefined before. */
  dtypes(): DTypeTrace | undefined {
    return this.#dtypes;
  }

  /** What the optimizer multiplies the rate of each weight by. */
  lrScales(): ReadonlyMap<string, number> {
    const scales = this.#optimizer.lrScales();
    return new Map(this.#adapted.trainable.map(({ name, weight }) => [name, scales.get(weight)!]));
  }

  /** Bytes of the optimizer's moments, the allocator's averages and sums of gradients. */
  stateBytes(): number {
    const { allocator } = this.#adapted;
    return [...this.#optimizer.state().values(), ...(allocator?.state().values() ?? []), ...(this.#sums ?? [])].reduce(
      (sum, p) => sum + p.size * bytesOf(p.dtype),
      0,
    );
  }

  /** Parts of a training's state. */
  parts(): Record<string, Stateful> {
    return stepParts({
      adapted: this.#adapted,
      optimizer: this.#optimizer,
      rngs: this.#rngs,
      scaler: this.scaler,
      dtypes: () => this.#dtypes,
      setDTypes: (trace) => void (this.#dtypes = trace),
      forget: () => this.#forget(),
    });
  }

  /** A step that ended half-way has left gradients that belong to no state. */
  #forget(): void {
    this.#plan.take();
    for (const sum of this.#sums ?? []) sum.write(new Float64Array(sum.size));
    this.#sound?.write(Float64Array.of(1));
  }

  /** Frees what belongs to training alone. */
  dispose(): void {
    this.#optimizer.dispose();
    this.#adapted.allocator?.dispose();
    for (const parameter of [...(this.#sums ?? []), this.#sound]) parameter?.dispose();
  }
}

/** Shapes and dtypes without the values. */
export function specsOf(inputs: CompileInputs): Record<string, { shape: readonly number[]; dtype: DType }> {
  return Object.fromEntries(Object.entries(inputs).map(([name, { shape, dtype }]) => [name, { shape, dtype: dtype! }]));
}
