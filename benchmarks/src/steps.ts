/** Whole training steps of BERT: forward, backward, clipping, AdamW, dropout on; and what it takes to prepare one. */
import { BertForSequenceClassification, parseBertConfig, type BertConfig } from "@lowrank/models";
import { AdamW, clipGradNorm, DropoutKeys, grad } from "@lowrank/nn";
import { adapt } from "@lowrank/peft";
import { compile, init, type Compiled, type HostTensor, type Tensor } from "@lowrank/tensor";
import type { Benchmark } from "./suite.ts";

interface StepShape { readonly layers: number; readonly hidden: number; readonly batch: number; readonly length: number }
type Method = "full" | "lora";

const SMALL: StepShape = { layers: 4, hidden: 256, batch: 32, length: 32 };
const BASE: StepShape = { layers: 12, hidden: 768, batch: 8, length: 64 };

function bert({ layers, hidden }: StepShape): BertConfig {
  return parseBertConfig({ hidden_size: hidden, num_hidden_layers: layers, num_attention_heads: hidden / 64, intermediate_size: 4 * hidden, vocab_size: 30522 });
}

/**
 * Arithmetic that must be done, per step: 2 per weight and token forward, 2 for the input's gradient, 2 more for the weight's own
 * where it is trained; attention's two products forward, four backward. Adapters, row kernels and the optimiser count as nothing.
 */
export function necessaryFlops({ layers, hidden, batch, length }: StepShape, method: Method): number {
  const tokens = batch * length;
  const weights = layers * 12 * hidden * hidden;
  const attention = layers * 2 * 2 * tokens * length * hidden;
  return weights * tokens * (method === "full" ? 6 : 4) + 3 * attention;
}

async function build(shape: StepShape, method: Method, threads: number): Promise<{ step: Compiled<{ loss: Tensor }>; inputs: Record<string, HostTensor>; close(): void }> {
  const device = await init({ device: "wasm", threads });
  const model = new BertForSequenceClassification(bert(shape));
  await model.materialize({ device, seed: 1 });
  if (method === "lora") await adapt(model, { r: 8, alpha: 16, dropout: 0.1, targetModules: ["query", "key", "value", "dense"], taskType: "SEQ_CLS" }, { device, seed: 1 });
  model.train(new DropoutKeys(device, 7));
  const optimizer = new AdamW(model.trainableWeights(), { lr: 1e-4 });
  const step = compile(device, ({ ids, mask, labels }) => {
    const { loss } = model.forward({ inputIds: ids!, attentionMask: mask!, labels: labels! });
    optimizer.step(clipGradNorm(grad(loss!, optimizer.parameters), 1).grads);
    return { loss: loss! };
  });
  const { batch, length } = shape;
  const inputs: Record<string, HostTensor> = {
    ids: { data: Int32Array.from({ length: batch * length }, (_, i) => 100 + ((i * 7919) % 30000)), shape: [batch, length] },
    mask: { data: new Uint8Array(batch * length).fill(1), shape: [batch, length], dtype: "bool" },
    labels: { data: Int32Array.from({ length: batch }, (_, i) => i % 2), shape: [batch] },
  };
  return { step, inputs, close: () => device.close() };
}

function stepBenchmark(method: Method, shape: StepShape, threads: number, calls: number): Benchmark {
  const { layers, hidden, batch, length } = shape;
  return {
    name: `step/bert-${method}/${layers}x${hidden}-b${batch}-s${length}/t${threads}`, unit: "GFLOP/s", amount: necessaryFlops(shape, method), threads, calls,
    async prepare() {
      const { step, inputs, close } = await build(shape, method, threads);
      return { run: () => step(inputs), close };
    },
  };
}

export function stepBenchmarks(threads: readonly number[]): Benchmark[] {
  return [
    ...threads.flatMap((t) => [stepBenchmark("full", SMALL, t, 9), stepBenchmark("lora", SMALL, t, 9), stepBenchmark("lora", BASE, t, 5)]),
    {
      name: "compile/bert-lora/12x768-b8-s64", unit: "ms", amount: 1, threads: 1, calls: 3,
      async prepare() {
        const specs = { ids: { shape: [8, 64], dtype: "i32" }, mask: { shape: [8, 64], dtype: "bool" }, labels: { shape: [8], dtype: "i32" } } as const;
        const closers: (() => void)[] = [];
        const made: Compiled<{ loss: Tensor }>[] = [];
        // a fresh device each time: plans and kernels are cached
        for (let i = 0; i < 8; i++) {
          const { step, close } = await build(BASE, "lora", 1);
          made.push(step);
          closers.push(close);
        }
        let next = 0;
        return { run: () => Promise.resolve(made[next++ % made.length]!.plan(specs)), close: () => closers.forEach((c) => c()) };
      },
    },
    {
      name: "start/init", unit: "ms", amount: 1, threads: Math.max(...threads), calls: 5,
      prepare: () => Promise.resolve({ run: async () => (await init({ device: "wasm", threads: Math.max(...threads) })).close(), close: () => {} }),
    },
  ];
}
