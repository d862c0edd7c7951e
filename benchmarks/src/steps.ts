/** Whole training steps of BERT: forward, backward, clipping, AdamW, dropout on; and what it takes to prepare one. */
import { init } from "@lowrank/tensor";
import { BASE, buildStep, shapeName, SMALL, type BuiltStep, type StepOptions, type StepShape } from "./bert.ts";
import type { Benchmark } from "./suite.ts";

/**
 * Arithmetic that must be done, per step: 2 per weight and token forward, 2 for the input's gradient, 2 more for the weight's own
 * where it is trained; attention's two products forward, four backward. Adapters, row kernels and the optimizer count as nothing.
 */
export function necessaryFlops(shape: StepShape, method: StepOptions["method"]): number {
  const { products, attention } = forwardParts(shape);
  return products * (method === "full" ? 3 : 2) + 3 * attention;
}

export function forwardFlops(shape: StepShape): number {
  const { products, attention } = forwardParts(shape);
  return products + attention;
}

function forwardParts({ layers, hidden, batch, length }: StepShape): { products: number; attention: number } {
  const tokens = batch * length;
  return { products: 2 * layers * 12 * hidden * hidden * tokens, attention: layers * 2 * 2 * tokens * length * hidden };
}

/** @param detect with every operation checked before the step, as `--detect-anomaly` does */
function stepBenchmark(shape: StepShape, options: StepOptions, calls: number, detect = false): Benchmark {
  const { method, storage = "f32", recompute = false, threads } = options;
  const variant = `${storage === "f32" ? "" : `-${storage}`}${recompute ? "-recompute" : ""}${detect ? "-detect-anomaly" : ""}`;
  return {
    name: `step/bert-${method}${variant}/${shapeName(shape)}/t${threads}`,
    unit: "GFLOP/s",
    amount: necessaryFlops(shape, method),
    threads,
    calls,
    async prepare() {
      const { step, inputs, device, close } = await buildStep(shape, options);
      device.anomalyDetection = detect;
      return { run: () => step(inputs), close };
    },
  };
}

export function stepBenchmarks(threads: readonly number[]): Benchmark[] {
  return [
    ...threads.flatMap((t) => [
      stepBenchmark(SMALL, { method: "full", threads: t }, 9),
      stepBenchmark(SMALL, { method: "lora", threads: t }, 9),
      stepBenchmark(SMALL, { method: "lora", threads: t }, 9, true),
      stepBenchmark(BASE, { method: "lora", threads: t }, 5),
      ...(["f16", "nf4"] as const).map((storage) => stepBenchmark(BASE, { method: "lora", storage, threads: t }, 5)),
      stepBenchmark(BASE, { method: "lora", storage: "f16", recompute: true, threads: t }, 5),
    ]),
    {
      name: "compile/bert-lora/12x768-b8-s64",
      unit: "ms",
      amount: 1,
      threads: 1,
      calls: 3,
      async prepare() {
        const specs = {
          ids: { shape: [8, 64], dtype: "i32" },
          mask: { shape: [8, 64], dtype: "bool" },
          labels: { shape: [8], dtype: "i32" },
        } as const;
        const closers: (() => void)[] = [];
        const made: BuiltStep["step"][] = [];
        // a fresh device each time: plans and kernels are cached
        for (let i = 0; i < 8; i++) {
          const { step, close } = await buildStep(BASE, { method: "lora", threads: 1 });
          made.push(step);
          closers.push(close);
        }
        let next = 0;
        return {
          run: () => Promise.resolve(made[next++ % made.length]!.plan(specs)),
          close: () => closers.forEach((c) => c()),
        };
      },
    },
    {
      name: "start/init",
      unit: "ms",
      amount: 1,
      threads: Math.max(...threads),
      calls: 5,
      prepare: () =>
        Promise.resolve({
          run: async () => (await init({ device: "wasm", threads: Math.max(...threads) })).close(),
          close: () => {},
        }),
    },
  ];
}
