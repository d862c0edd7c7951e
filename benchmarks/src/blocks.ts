/** Products with weights as GGUF files keep them, beside the same in f32 and NF4: one row (a token of generation), and a short text. */
import { Linear, Module } from "@lowrank/nn";
import { formats, quantize } from "@lowrank/quant";
import { compile, init, ops, type Device, type Tensor, type TensorSource } from "@lowrank/tensor";
import type { Benchmark } from "./suite.ts";

const [IN, OUT] = [2048, 640];

/** Elements and bytes of a block, and where its f16 numbers begin. */
const BLOCKS: Readonly<Record<string, readonly [elements: number, bytes: number, halves: readonly number[]]>> = {
  Q8_0: [32, 34, [0]],
  Q4_0: [32, 18, [0]],
  Q4_1: [32, 20, [0, 2]],
  Q5_0: [32, 22, [0]],
  Q5_1: [32, 24, [0, 2]],
  Q4_K: [256, 144, [0, 2]],
  Q5_K: [256, 176, [0, 2]],
  Q6_K: [256, 210, [208]],
};

/** A tensor of blocks in which any bit may be set but those that make a scale large. */
function blocks(form: string, shape: readonly [outputs: number, inputs: number]): TensorSource {
  const [elements, bytes, halves] = BLOCKS[form]!;
  const data = Uint8Array.from(
    { length: ((shape[0] * shape[1]) / elements) * bytes },
    (_, i) => (i * 7919 + (i >> 3) * 31) & 0xff,
  );
  for (let at = 0; at < data.length; at += bytes) for (const half of halves) data[at + half + 1]! &= 0x2f;
  return {
    names: ["w"],
    has: (name) => name === "w",
    info: () => ({ dtype: form, shape, bytes: data.length }),
    range: async (_, from = 0, to = data.length) => data.slice(from, to),
  };
}

class Net extends Module {
  readonly layer = new Linear(IN, OUT, { bias: false });
}

/** A weight [outputs, inputs] that is kept in blocks. */
export async function blockWeight(
  form: string,
  device: Device,
  shape: readonly [outputs: number, inputs: number],
): Promise<() => Tensor> {
  const target = { shape, transposed: false, allowNonFinite: false };
  const weight = await formats.find(({ name }) => name === form)!.load(device, blocks(form, shape), "w", target);
  return () => weight.value();
}

async function weightIn(form: string, device: Device): Promise<() => Tensor> {
  if (Object.hasOwn(BLOCKS, form)) return blockWeight(form, device, [OUT, IN]);
  const net = new Net();
  await net.materialize({ device });
  if (form === "nf4") await quantize(net, { include: ["layer"] });
  return () => net.layer.weight.value;
}

export function blockBenchmarks(): Benchmark[] {
  return [1, 64].flatMap((rows) =>
    ["f32", "nf4", ...Object.keys(BLOCKS)].map((form) => ({
      name: `gemm/${form}/${rows}x${IN}x${OUT}/t1`,
      unit: "ms" as const,
      amount: 0,
      threads: 1,
      async prepare() {
        const device = await init({ device: "wasm", threads: 1 });
        const weight = await weightIn(form, device);
        const x = device.parameter(
          Float32Array.from({ length: rows * IN }, (_, i) => Math.cos(i)),
          [rows, IN],
        );
        const out = device.parameter(new Float32Array(rows * OUT), [rows, OUT]);
        const step = compile(device, () => {
          out.assign(ops.linear(x.value, weight()));
          return {};
        });
        return { run: () => step({}), close: () => device.close() };
      },
    })),
  );
}
