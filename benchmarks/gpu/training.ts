/** What is trained: BERT of some shape, or, where every kernel takes a software device a tenth of a second to compile, two layers with an adapter. */
import { AdamW, clipGradNorm, crossEntropy, grad, Linear, Module, Rngs } from "@lowrank/nn";
import { adapt } from "@lowrank/peft";
import { compile, ops, type Compiled, type Device, type HostTensor, type Tensor } from "@lowrank/tensor";
import { buildStepOn, shapeName, type StepShape } from "../src/bert.ts";
import { necessaryFlops } from "../src/steps.ts";

export interface Training {
  readonly name: string;
  /** Arithmetic of a step; 0 where nobody wants to know. */
  readonly flops: number;
  build(device: Device): Promise<{
    readonly step: Compiled<{ loss: Tensor }>;
    /** The inputs of the i-th step. */
    inputs(i: number): Record<string, HostTensor>;
  }>;
}

export function bertTraining(shape: StepShape): Training {
  const { batch, length, vocabulary = 30522 } = shape;
  return {
    name: `step/${shapeName(shape)}`,
    flops: necessaryFlops(shape, "lora"),
    async build(device) {
      const { step, inputs } = await buildStepOn(device, shape, { method: "lora" });
      const ids = (i: number): HostTensor => ({
        data: Int32Array.from({ length: batch * length }, (_, at) => 100 + ((at * 7919 + i * 31) % (vocabulary - 100))),
        shape: [batch, length],
      });
      return { step, inputs: (i) => ({ ...inputs, ids: ids(i) }) };
    },
  };
}

const WIDTH = 16;
const ROWS = 4;

class TwoLayers extends Module {
  readonly inner = new Linear(WIDTH, WIDTH, { init: { kind: "normal", std: 0.3 } });
  readonly classifier = new Linear(WIDTH, 2, { init: { kind: "normal", std: 0.3 } });

  loss(x: Tensor, labels: Tensor): Tensor {
    return crossEntropy(this.classifier.forward(ops.tanh(this.inner.forward(x))), labels);
  }
}

export const TWO_LAYERS: Training = {
  name: "step/two-layers",
  flops: 0,
  async build(device) {
    const model = new TwoLayers();
    await model.materialize({ device, seed: 5 });
    await adapt(model, { r: 2, alpha: 4, dropout: 0.1, targetModules: ["inner"] }, { device, seed: 5 });
    const rngs = new Rngs(device, 11);
    model.train(rngs);
    const optimizer = new AdamW(model.trainableWeights(), { lr: 1e-2 });
    const step = compile(device, ({ x, labels }) => {
      rngs.restart();
      const loss = model.loss(x!, labels!);
      optimizer.step(clipGradNorm(grad(loss, optimizer.parameters), 1).grads);
      return { loss };
    });
    return {
      step,
      inputs: (i) => ({
        x: { data: Float32Array.from({ length: ROWS * WIDTH }, (_, at) => Math.sin(at + 3 * i)), shape: [ROWS, WIDTH] },
        labels: { data: Int32Array.from({ length: ROWS }, (_, row) => (row + i) % 2), shape: [ROWS] },
      }),
    };
  },
};
