/** A forward pass and a training step of any model with an adapter, traced on a device that only plans. */
import type { ModelInputs, PretrainedModel } from "@lowrank/models";
import { AdamW, clipGradNorm, Rngs } from "@lowrank/nn";
import { compile, grad, type Device, type DType, type Tensor } from "@lowrank/tensor";

/** What a run takes beside weights and optimizer state. */
export interface StepBytes {
  /** Intermediates and gradients. */
  readonly arena: number;
  /** Tables that every run reads. */
  readonly constants: number;
  /** What kernels work in, packed operands above all. */
  readonly scratch: number;
}

type Specs = Record<string, { readonly shape: readonly number[]; readonly dtype: DType }>;

/** @param length tokens of the one row */
export function forwardBytes(model: PretrainedModel, device: Device, length: number): StepBytes {
  model.eval();
  return planned(device, textSpecs(1, length), (inputs) => {
    const { logits, startLogits, lastHiddenState } = model.forward(inputs as never);
    return { out: logits ?? startLogits ?? lastHiddenState };
  });
}

/** Loss, gradients, clipping and AdamW of what trains. @returns undefined for a model without a loss of its own */
export function trainingBytes(
  model: PretrainedModel,
  device: Device,
  { rows, length }: { readonly rows: number; readonly length: number },
): StepBytes | undefined {
  const labels = labelSpecs(model, rows, length);
  if (labels === undefined) return undefined;
  model.train(new Rngs(device, 0));
  const optimizer = new AdamW(model.trainableWeights(), { lr: 1e-4 });
  try {
    return planned(device, { ...textSpecs(rows, length), ...labels }, (inputs) => {
      const { loss } = model.forward(inputs as never);
      optimizer.step(clipGradNorm(grad(loss!, optimizer.parameters), 1).grads);
      return { loss: loss! };
    });
  } finally {
    optimizer.dispose();
  }
}

function planned(
  device: Device,
  specs: Specs,
  fn: (inputs: Record<string, Tensor>) => Record<string, Tensor>,
): StepBytes {
  const { arenaBytes, constantBytes } = compile(device, fn).plan(specs);
  // the largest so far, which is this step's: steps are planned from the smallest on
  return { arena: arenaBytes, constants: constantBytes, scratch: device.memory().scratch };
}

function textSpecs(rows: number, length: number): Specs {
  return {
    inputIds: { shape: [rows, length], dtype: "i32" },
    attentionMask: { shape: [rows, length], dtype: "bool" },
  };
}

/** What the loss is told, under the names that the model's inputs have; undefined where it has none. */
function labelSpecs(model: PretrainedModel, rows: number, length: number): Specs | undefined {
  const { extraInputs, architecture, config } = model;
  const has = (name: keyof ModelInputs): boolean => Object.hasOwn(extraInputs, name);
  const one = { shape: [rows], dtype: "i32" } as const;
  if (has("startPositions")) return { startPositions: one, endPositions: one };
  if (!has("labels")) return undefined;
  if (!architecture.endsWith("ForSequenceClassification")) return { labels: { shape: [rows, length], dtype: "i32" } };
  const { problemType = config.numLabels === 1 ? "regression" : undefined, numLabels } = config;
  if (problemType === "multi_label_classification" || (problemType === "regression" && numLabels > 1))
    return { labels: { shape: [rows, numLabels], dtype: "f32" } };
  return { labels: problemType === "regression" ? { shape: [rows], dtype: "f32" } : one };
}
