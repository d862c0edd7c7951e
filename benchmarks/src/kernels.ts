/** Single kernels: products of the shapes that matter, row kernels, elementwise work. */
import { compile, init, ops, type Device, type Parameter, type Tensor } from "@lowrank/tensor";
import type { Benchmark } from "./suite.ts";

function filled(device: Device, shape: readonly number[]): Parameter {
  const n = shape.reduce((a, b) => a * b, 1);
  return device.parameter(
    Float32Array.from({ length: n }, (_, i) => Math.sin(0.37 * i)),
    shape,
  );
}

/** One op from parameters into a parameter, replayed. */
function kernel(
  { name, unit, amount, threads }: Pick<Benchmark, "name" | "unit" | "amount" | "threads">,
  inputs: readonly (readonly number[])[],
  output: readonly number[],
  body: (x: Tensor[], device: Device) => Tensor,
): Benchmark {
  return {
    name,
    unit,
    amount,
    threads,
    async prepare() {
      const device = await init({ device: "wasm", threads });
      const x = inputs.map((shape) => filled(device, shape));
      const out = filled(device, output);
      const step = compile(device, () => {
        out.assign(
          body(
            x.map((p) => p.value),
            device,
          ),
        );
        return {};
      });
      return { run: () => step({}), close: () => device.close() };
    },
  };
}

function product(
  name: string,
  threads: number,
  m: number,
  k: number,
  n: number,
  body: (a: Tensor, b: Tensor, bias: Tensor) => Tensor = (a, b) => ops.matmul(a, ops.transpose(b)),
): Benchmark {
  return kernel(
    { name: `gemm/f32/${name}/t${threads}`, unit: "GFLOP/s", amount: 2 * m * k * n, threads },
    [[m, k], [n, k], [n]],
    [m, n],
    ([a, b, bias]) => body(a!, b!, bias!),
  );
}

export function kernelBenchmarks(threads: readonly number[]): Benchmark[] {
  const squares = [512, 1024, 2048].flatMap((n) => threads.map((t) => product(String(n), t, n, n, n)));
  const million = 1 << 20;
  const bytes = (elements: number): number => 4 * elements;
  return [
    ...squares,
    product("1024x256x1024", 1, 1024, 256, 1024),
    product("512x768x3072-bias-gelu", 1, 512, 768, 3072, (a, b, bias) => ops.gelu(ops.linear(a, b, bias))),
    product("1024x256x8", 1, 1024, 256, 8),
    product("1024x8x256", 1, 1024, 8, 256),
    kernel(
      { name: "gemm/f32/128x32x64x32-batched/t1", unit: "GFLOP/s", amount: 2 * 128 * 32 * 64 * 32, threads: 1 },
      [
        [128, 32, 64],
        [128, 32, 64],
      ],
      [128, 32, 32],
      ([a, b]) => ops.matmul(a!, ops.transpose(b!)),
    ),
    kernel(
      { name: "row/softmax/4096x32/t1", unit: "ns/element", amount: 4096 * 32, threads: 1 },
      [[4096, 32]],
      [4096, 32],
      ([x]) => ops.softmax(x!),
    ),
    kernel(
      { name: "row/softmax/512x768/t1", unit: "ns/element", amount: 512 * 768, threads: 1 },
      [[512, 768]],
      [512, 768],
      ([x]) => ops.softmax(x!),
    ),
    kernel(
      { name: "row/layer-norm/1024x768/t1", unit: "ns/element", amount: 1024 * 768, threads: 1 },
      [[1024, 768], [768], [768]],
      [1024, 768],
      ([x, w, b]) => ops.layerNorm(x!, w!, b!, 1e-12),
    ),
    kernel(
      { name: "elementwise/add/1M/t1", unit: "GB/s", amount: 3 * bytes(million), threads: 1 },
      [[million], [million]],
      [million],
      ([a, b]) => ops.add(a!, b!),
    ),
    kernel(
      { name: "elementwise/gelu/1M/t1", unit: "ns/element", amount: million, threads: 1 },
      [[million]],
      [million],
      ([x]) => ops.gelu(x!),
    ),
    kernel(
      { name: "random/dropout/1M/t1", unit: "ns/element", amount: million, threads: 1 },
      [[million]],
      [million],
      ([x], device) => ops.dropout(x!, 0.1, { words: device.tensor([1, 2], [2], "u32"), site: 0 }),
    ),
    kernel(
      { name: "reduce/columns/1024x768/t1", unit: "GB/s", amount: bytes(1024 * 768), threads: 1 },
      [[1024, 768]],
      [768],
      ([x]) => ops.sum(x!, 0),
    ),
  ];
}
