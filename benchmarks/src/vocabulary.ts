/** Cross-entropy of 512 tokens over 262,144 words, forward and the gradient of the hidden states: outputs stored, or worked on in blocks. */
import { compile, grad, init, ops, type Device, type Tensor } from "@lowrank/tensor";
import { blockWeight } from "./blocks.ts";
import type { Benchmark } from "./suite.ts";

const [TOKENS, HIDDEN, WORDS] = [512, 640, 262_144];

const FORMS: Readonly<Record<string, (device: Device) => Promise<() => Tensor>>> = {
  f32: (device) => {
    const weight = device.parameter(noise(WORDS * HIDDEN, 0.06), [WORDS, HIDDEN]);
    return Promise.resolve(() => weight.value);
  },
  q8_0: (device) => blockWeight("Q8_0", device, [WORDS, HIDDEN]),
};

function noise(length: number, scale: number): Float32Array {
  let state = 1;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return (scale * state) / 2 ** 31;
  });
}

function lossBenchmark(form: string, stored: boolean, threads: number): Benchmark {
  return {
    name: `loss/${form}-frozen${stored ? "-stored" : ""}/${TOKENS}x${HIDDEN}x${WORDS}/t${threads}`,
    unit: "GFLOP/s",
    amount: 2 * 2 * TOKENS * HIDDEN * WORDS,
    threads,
    calls: 3,
    async prepare() {
      const device = await init({ device: "wasm", threads });
      const weight = await FORMS[form]!(device);
      const x = device.parameter(noise(TOKENS * HIDDEN, 2), [TOKENS, HIDDEN]);
      const dx = device.parameter(new Float32Array(TOKENS * HIDDEN), [TOKENS, HIDDEN]);
      const step = compile(device, ({ labels }) => {
        const options = stored ? { blockSize: WORDS } : {};
        const loss = ops.linearCrossEntropy(x.value, weight(), labels!, options);
        dx.assign(grad(loss, [x])[0]!);
        return { loss };
      });
      const data = Int32Array.from({ length: TOKENS }, (_, i) => (i * 245_489) % WORDS);
      const labels = { data, shape: [TOKENS] };
      return { run: async () => (await step({ labels })).loss.item(), close: () => device.close() };
    },
  };
}

export function lossBenchmarks(threads: readonly number[]): Benchmark[] {
  return threads.flatMap((t) =>
    Object.keys(FORMS).flatMap((form) => [true, false].map((stored) => lossBenchmark(form, stored, t))),
  );
}
