/** The compiled training step: batch in, loss and gradient norm out, parameters and moments updated in place. */
import {
  AdamW,
  clipGradNorm,
  decayGroups,
  Rngs,
  gradNorm,
  constantSchedule,
  cosineSchedule,
  linearSchedule,
  LossScaler,
  type Schedule,
  type Weight,
} from "@lowrank/nn";
import type { AllocationStep } from "@lowrank/peft";
import {
  bytesOf,
  compile,
  grad,
  ops,
  type CompiledInfo,
  type CompileInputs,
  type Device,
  type DType,
  type DTypeTrace,
  type Tensor,
} from "@lowrank/tensor";
import type { TrainOptions } from "../config/study.ts";
import type { Task } from "../records/task.ts";
import type { AdaptedBase } from "./adapt.ts";

export interface StepResult {
  /** Mean cross-entropy over the batch's real rows. */
  readonly loss: number;
  /** Global gradient norm before clipping. */
  readonly norm: number;
  /** What the training objective holds beside the loss: AdaLoRA's orthogonality term. */
  readonly regularizer: number;
  /** Loss scaling found a gradient that is not finite: nothing was changed. */
  readonly skipped: boolean;
  readonly allocation: AllocationStep | undefined;
}

type StepOutputs = Record<string, Tensor>;

export interface TrainingStep {
  run(inputs: CompileInputs): Promise<StepResult>;
  /** The plan for inputs of these shapes, known without running. */
  plan(inputs: CompileInputs): CompiledInfo;
  /** One plan per batch shape so far, in the order in which they were met. */
  plans(): readonly CompiledInfo[];
  /** dtypes of the step that ran, read off its graph; undefined before the first. */
  dtypes(): DTypeTrace | undefined;
  readonly scaler: LossScaler | undefined;
  /** Bytes of the optimizer's moments and the allocator's averages. */
  stateBytes(): number;
  /** Frees the optimizer's state. */
  dispose(): void;
}

/** Factor on the learning rate after `step` finished steps of `total`. */
export function scheduleOf(name: TrainOptions["schedule"], totalSteps: number, warmupSteps: number): Schedule {
  if (name === "constant") return constantSchedule({ warmupSteps });
  return (name === "linear" ? linearSchedule : cosineSchedule)({ totalSteps, warmupSteps });
}

/** @param lr learning rate after `step` finished steps */
export function trainingStep(
  task: Pick<Task, "loss">,
  adapted: AdaptedBase,
  options: TrainOptions,
  lr: (step: number) => number,
  dropoutSeed: number,
  device: Device,
): TrainingStep {
  const { base } = adapted;
  const rngs = new Rngs(device, dropoutSeed);
  const optimizer = new AdamW(
    decayGroups(
      adapted.trainable.map(({ name, weight }) => [name, weight] as const),
      options.weightDecay,
    ),
    {
      lr,
      betas: options.betas,
      eps: options.eps,
    },
  );
  const { allocator } = adapted;
  // small gradients of half-precision products would be rounded to nothing; bf16 has f32's range
  const scaler = base.precision?.compute === "f16" ? new LossScaler() : undefined;
  const update = (inputs: Record<string, Tensor>): StepOutputs => {
    base.model.train(rngs);
    const loss = task.loss(base, inputs, "mean");
    const extra = allocator?.regularizer();
    const objective = extra === undefined ? loss : ops.add(loss, extra);
    const scaled = grad(scaler === undefined ? objective : scaler.scaleLoss(objective), optimizer.parameters);
    const { grads: raw, finite } = scaler === undefined ? { grads: scaled, finite: undefined } : scaler.unscale(scaled);
    const { grads, norm } =
      options.clip === null ? { grads: raw, norm: gradNorm(raw) } : clipGradNorm(raw, options.clip);
    optimizer.step(grads, finite);
    const byWeight = (list: readonly Tensor[]): ReadonlyMap<Weight, Tensor> =>
      new Map(optimizer.weights.map((w, i) => [w, list[i]!]));
    const report = allocator?.afterStep({ raw: byWeight(raw), clipped: byWeight(grads) }, finite);
    return {
      loss,
      norm,
      ...(extra === undefined ? {} : { extra }),
      ...(finite === undefined ? {} : { finite }),
      ...(report === undefined ? {} : { report }),
    };
  };
  const compiled = compile(device, update);
  return {
    scaler,
    async run(inputs) {
      const out: StepOutputs = await compiled(inputs);
      const skipped = out["finite"] !== undefined && (await out["finite"].item()) === 0;
      if (skipped) {
        optimizer.revoke();
        allocator?.revoke();
      }
      const loss = await out["loss"]!.item();
      scaler?.update(!skipped, loss);
      const allocation =
        skipped || out["report"] === undefined ? undefined : allocator?.check(await out["report"].floats());
      return {
        loss,
        norm: await out["norm"]!.item(),
        regularizer: out["extra"] === undefined ? 0 : await out["extra"].item(),
        skipped,
        allocation,
      };
    },
    dtypes: () => compiled.info()[0]?.dtypes,
    stateBytes: () =>
      [...optimizer.state().values(), ...(allocator?.state().values() ?? [])].reduce(
        (sum, p) => sum + p.size * bytesOf(p.dtype),
        0,
      ),
    plan: (inputs) => compiled.plan(specsOf(inputs)),
    plans: () => compiled.info(),
    dispose: () => {
      optimizer.dispose();
      allocator?.dispose();
    },
  };
}

/** Shapes and dtypes without the values. */
export function specsOf(inputs: CompileInputs): Record<string, { shape: readonly number[]; dtype: DType }> {
  return Object.fromEntries(Object.entries(inputs).map(([name, { shape, dtype }]) => [name, { shape, dtype: dtype! }]));
}
