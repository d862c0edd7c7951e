/** BERT training steps of the sizes that benchmarks use: how the base is kept, and whether layers are computed again, can be chosen. */
import { BertForSequenceClassification, parseBertConfig, type BertConfig } from "@lowrank/models";
import { AdamW, clipGradNorm, Rngs, grad, gradientCheckpointing, type MaterializeOptions } from "@lowrank/nn";
import { adapt } from "@lowrank/peft";
import { planQuantization } from "@lowrank/quant";
import { compile, init, type Device, type Compiled, type HostTensor, type Tensor } from "@lowrank/tensor";

export interface StepShape {
  readonly layers: number;
  readonly hidden: number;
  readonly batch: number;
  readonly length: number;
  /** Words of the vocabulary. Default: BERT's. */
  readonly vocabulary?: number;
}

export const SMALL: StepShape = { layers: 4, hidden: 256, batch: 32, length: 32 };
export const BASE: StepShape = { layers: 12, hidden: 768, batch: 8, length: 64 };

export interface StepOptions {
  readonly method: "full" | "lora";
  /** How frozen matrices are kept. */
  readonly storage?: "f32" | "f16" | "nf4";
  readonly recompute?: boolean;
  readonly threads: number;
}

/** `4x256-b32-s32` */
export function shapeName({ layers, hidden, batch, length }: StepShape): string {
  return `${layers}x${hidden}-b${batch}-s${length}`;
}

function bert({ layers, hidden, vocabulary = 30522 }: StepShape): BertConfig {
  return parseBertConfig({
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: hidden / 64,
    intermediate_size: 4 * hidden,
    vocab_size: vocabulary,
  });
}

/** The head trains and stays in f32. */
function storageOf(
  model: BertForSequenceClassification,
  storage: StepOptions["storage"],
): Pick<MaterializeOptions, "storage"> {
  if (storage === "nf4") return { storage: planQuantization(model, { embeddings: "nf4" }).storage };
  if (storage === "f16")
    return {
      storage: (name, weight) => (weight.shape.length === 2 && !name.startsWith("classifier") ? "f16" : undefined),
    };
  return {};
}

export interface BuiltStep {
  readonly step: Compiled<{ loss: Tensor }>;
  readonly inputs: Record<string, HostTensor>;
  readonly device: Device;
  readonly model: BertForSequenceClassification;
  close(): void;
}

/** Dropout on, LoRA of rank 8 on every linear module, clipping, AdamW. */
export async function buildStep(shape: StepShape, { threads, ...options }: StepOptions): Promise<BuiltStep> {
  return buildStepOn(await init({ device: "wasm", threads }), shape, options);
}

export async function buildStepOn(
  device: Device,
  shape: StepShape,
  { method, storage, recompute }: Omit<StepOptions, "threads">,
): Promise<BuiltStep> {
  const model = new BertForSequenceClassification(bert(shape));
  await model.materialize({ device, seed: 1, ...storageOf(model, storage) });
  if (method === "lora")
    await adapt(
      model,
      { r: 8, alpha: 16, dropout: 0.1, targetModules: ["query", "key", "value", "dense"], taskType: "SEQ_CLS" },
      { device, seed: 1 },
    );
  model.train(new Rngs(device, 7));
  if (recompute === true) gradientCheckpointing(model);
  const optimizer = new AdamW(model.trainableWeights(), { lr: 1e-4 });
  const step = compile(device, ({ ids, mask, labels }) => {
    const { loss } = model.forward({ inputIds: ids!, attentionMask: mask!, labels: labels! });
    optimizer.step(clipGradNorm(grad(loss!, optimizer.parameters), 1).grads);
    return { loss: loss! };
  });
  const { batch, length } = shape;
  const inputs: Record<string, HostTensor> = {
    ids: {
      data: Int32Array.from({ length: batch * length }, (_, i) => 100 + ((i * 7919) % 30000)),
      shape: [batch, length],
    },
    mask: { data: new Uint8Array(batch * length).fill(1), shape: [batch, length], dtype: "bool" },
    labels: { data: Int32Array.from({ length: batch }, (_, i) => i % 2), shape: [batch] },
  };
  return { step, inputs, device, model, close: () => device.close() };
}
