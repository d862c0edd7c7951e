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
  arenaBytes(inputs: CompileInputs): number;
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
  const compiled = compile(device, (inputs: Record<string, Tensor>) => {
    classifier.model.train(keys);
    const loss = ops.crossEntropy(classifier.logits(inputs["inputIds"]!, inputs["attentionMask"]!), inputs["labels"]!);
    const gradients = grad(loss, optimizer.parameters);
    const { grads, norm } = options.clip === null ? { grads: gradients, norm: gradNorm(gradients) } : clipGradNorm(gradients, options.clip);
    optimizer.step(grads);
    return { loss, norm };
  });
  return {
    async run(inputs) {
      const { loss, norm } = await compiled(inputs);
      return { loss: await loss.item(), norm: await norm.item() };
    },
    arenaBytes: (inputs) => compiled.plan(Object.fromEntries(Object.entries(inputs).map(([name, { shape, dtype }]) => [name, { shape, dtype: dtype! }]))).arenaBytes,
    dispose: () => optimizer.dispose(),
  };
}
