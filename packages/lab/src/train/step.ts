/** The compiled training step: batch in, loss and gradient norm out, parameters and moments updated in place. */
import { AdamW, clipGradNorm, decayGroups, DropoutKeys, gradNorm, constantSchedule, cosineSchedule, linearSchedule, type Schedule } from "@lowrank/nn";
import { compile, grad, ops, type CompileInputs, type Device, type Tensor } from "@lowrank/tensor";
import type { TrainOptions } from "../config/study.ts";
import type { AdaptedClassifier } from "./adapt.ts";

export interface StepResult {
  /** Mean cross-entropy over the batch's real rows. */
  readonly loss: number;
  /** Global gradient norm before clipping. */
  readonly norm: number;
}

export interface TrainingStep {
  run(inputs: CompileInputs): Promise<StepResult>;
  /** Bytes of intermediates for inputs of these shapes, known without running. */
  plannedBytes(inputs: CompileInputs): number;
  /** Bytes of intermediates of the largest batch so far. */
  arenaBytes(): number;
  /** Frees the optimiser's state. */
  dispose(): void;
}

/** Factor on the learning rate after `step` finished steps of `total`. */
export function scheduleOf(name: TrainOptions["schedule"], totalSteps: number, warmupSteps: number): Schedule {
  if (name === "constant") return constantSchedule({ warmupSteps });
  return (name === "linear" ? linearSchedule : cosineSchedule)({ totalSteps, warmupSteps });
}

/** @param lr learning rate after `step` finished steps */
export function trainingStep(adapted: AdaptedClassifier, options: TrainOptions, lr: (step: number) => number, dropoutSeed: number, device: Device): TrainingStep {
  const { classifier } = adapted;
  const keys = new DropoutKeys(device, dropoutSeed);
  const optimizer = new AdamW(decayGroups(adapted.trainable.map(({ name, weight }) => [name, weight] as const), options.weightDecay), {
    lr,
    betas: options.betas,
    eps: options.eps,
  });
  const update = (inputs: Record<string, Tensor>): { loss: Tensor; norm: Tensor } => {
    classifier.model.train(keys);
    const loss = ops.crossEntropy(classifier.logits(inputs["inputIds"]!, inputs["attentionMask"]!), inputs["labels"]!);
    const gradients = grad(loss, optimizer.parameters);
    const { grads, norm } = options.clip === null ? { grads: gradients, norm: gradNorm(gradients) } : clipGradNorm(gradients, options.clip);
    optimizer.step(grads);
    return { loss, norm };
  };
  const compiled = compile(device, update);
  /** Operation by operation, so that the first one that makes a non-finite value is named. */
  const checked = async (inputs: CompileInputs): Promise<{ loss: Tensor; norm: Tensor }> => {
    const outputs = update(Object.fromEntries(Object.entries(inputs).map(([name, { data, shape, dtype }]) => [name, device.tensor(data, shape, dtype)])));
    await device.realize(outputs.loss, outputs.norm);
    return outputs;
  };
  return {
    async run(inputs) {
      const { loss, norm } = await (device.anomalyDetection ? checked(inputs) : compiled(inputs));
      return { loss: await loss.item(), norm: await norm.item() };
    },
    plannedBytes: (inputs) => compiled.plan(Object.fromEntries(Object.entries(inputs).map(([name, { shape, dtype }]) => [name, { shape, dtype: dtype! }]))).arenaBytes,
    arenaBytes: () => Math.max(0, ...compiled.info().map((plan) => plan.arenaBytes)),
    dispose: () => optimizer.dispose(),
  };
}
