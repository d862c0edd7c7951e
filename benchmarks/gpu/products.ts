/** Products in f32: squares, a transformer's layers, an adapter's tall and narrow ones, attention's many small ones. */
import { compile, init, ops, type Device, type Parameter } from "@lowrank/tensor";
import { reason, type Context, type Row } from "./row.ts";
import { fence, timeCalls } from "./timing.ts";

/** `batch` products of [m, k] with [k, n]; with `transposed` the second operand is stored as [n, k], as a layer's weight is. */
export interface Product {
  readonly batch?: number;
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly transposed?: boolean;
}

const LARGE: readonly Product[] = [
  { m: 512, k: 512, n: 512 },
  { m: 1024, k: 1024, n: 1024 },
  { m: 2048, k: 2048, n: 2048 },
  { m: 4096, k: 4096, n: 4096 },
  { m: 1024, k: 768, n: 768, transposed: true },
  { m: 1024, k: 768, n: 3072, transposed: true },
  { m: 1024, k: 3072, n: 768, transposed: true },
  { m: 1024, k: 768, n: 8, transposed: true },
  { m: 1024, k: 8, n: 768, transposed: true },
  { m: 8, k: 1024, n: 768 },
  { m: 65536, k: 64, n: 64 },
  { m: 64, k: 65536, n: 64 },
  { m: 1, k: 4096, n: 4096, transposed: true },
  { batch: 96, m: 128, k: 64, n: 128, transposed: true },
  { batch: 96, m: 128, k: 128, n: 64 },
];

const SMALL: readonly Product[] = [
  { m: 64, k: 64, n: 64 },
  { m: 64, k: 8, n: 96, transposed: true },
  { batch: 4, m: 16, k: 16, n: 16, transposed: true },
];

export function productsOf(small: boolean): readonly Product[] {
  return small ? SMALL : LARGE;
}

export function productName({ batch, m, k, n, transposed }: Product): string {
  return `product/${batch === undefined ? "" : `${batch}×`}${m}×${k}×${n}${transposed === true ? "ᵀ" : ""}`;
}

export async function timeProducts(context: Context): Promise<void> {
  const { small, report, spent, cut } = context;
  const device = await init({ device: "webgpu" });
  const products = productsOf(small);
  for (const [i, product] of products.entries()) {
    if (spent()) return cut(`${products.length - i} products from ${productName(product)} on were not timed`);
    try {
      report(await timeProduct(device, product, context));
    } catch (error) {
      report({ name: productName(product), wrong: reason(error) });
      device.checkUsable();
    }
  }
  device.close();
}

/** Products of less arithmetic than this are done several at a time, or what a call costs would hide them. */
const WORTH_A_CALL = 4e9;
const MOST_AT_A_TIME = 16;

async function timeProduct(device: Device, product: Product, context: Context): Promise<Row> {
  const { batch = 1, m, k, n, transposed = false } = product;
  const flops = 2 * batch * m * k * n;
  const bytes = 4 * batch * (m * k + k * n + m * n);
  const times = context.small ? 1 : Math.max(1, Math.min(MOST_AT_A_TIME, Math.floor(WORTH_A_CALL / flops)));
  const wait = fence(device);
  const filled = (shape: readonly number[]): Parameter => {
    const size = shape.reduce((a, b) => a * b, 1);
    return device.parameter(
      Float32Array.from({ length: size }, (_, i) => ((i * 37) % 101) / 101 - 0.5),
      shape,
    );
  };
  // each with operands of its own: equal ones would be computed once
  const held = Array.from({ length: times }, () => ({
    a: filled([batch, m, k]),
    b: filled(transposed ? [batch, n, k] : [batch, k, n]),
    out: filled([batch, m, n]),
  }));
  try {
    const step = compile(device, () => {
      for (const { a, b, out } of held) out.assign(ops.matmul(a.value, transposed ? ops.transpose(b.value) : b.value));
      return {};
    });
    const began = performance.now();
    await step({});
    await wait();
    const first = performance.now() - began;
    const ms = (await timeCalls(() => step({}), wait, context)) / times;
    const dispatches = step.info()[0]!.steps;
    return {
      name: productName(product),
      value: flops / ms / 1e6,
      unit: "GFLOP/s",
      ms,
      flops,
      bytes,
      ...(times === 1 ? {} : { note: `${times} a call` }),
      detail: { product, times, firstMs: first, dispatches },
    };
  } finally {
    for (const { a, b, out } of held) for (const parameter of [a, b, out]) parameter.dispose();
  }
}
