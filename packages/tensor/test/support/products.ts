/** Kernels of one or several products, for the tests of their code generators. */
import type { Arg, GemmKernel, Index, Instr, Product } from "../../src/ir/kernel.ts";
import fc from "fast-check";

export interface ProductsSpec {
  readonly batch: readonly number[];
  readonly m: number;
  readonly n: number;
  readonly products: readonly {
    readonly k: number;
    readonly acc: number;
    readonly turnA: boolean;
    readonly turnB: boolean;
    readonly format: "f32" | "f16";
  }[];
}

/** Accumulators without gaps, in the order in which they are first added to. */
function numbered(accs: readonly number[]): number[] {
  const order = [...new Set(accs)];
  return accs.map((a) => order.indexOf(a));
}

export function productSpecs(most: number, side: number): fc.Arbitrary<ProductsSpec> {
  const size = fc.integer({ min: 1, max: side });
  const one = fc.record({
    k: size,
    acc: fc.integer({ min: 0, max: 3 }),
    turnA: fc.boolean(),
    turnB: fc.boolean(),
    format: fc.constantFrom("f32" as const, "f32" as const, "f16" as const),
  });
  return fc
    .record({
      batch: fc.constantFrom([], [], [2], [3, 2]),
      m: size,
      n: size,
      products: fc.array(one, { minLength: 1, maxLength: most }),
    })
    .map(({ products, ...rest }) => ({
      ...rest,
      products: numbered(products.map((p) => p.acc)).map((acc, i) => ({ ...products[i]!, acc })),
    }));
}

/** out = Σ over accumulators a of (a is odd ? where(mask, acc, 0) : acc) · (a + 1), plus a bias. Arguments: each product's A and B, bias, mask, out. */
export function productsKernel({ batch, m, n, products }: ProductsSpec): GemmKernel {
  const batches = batch.reduce((x, y) => x * y, 1);
  const args: Arg[] = [];
  const arg = (dtype: Arg["dtype"], size: number, access: Arg["access"] = "read"): number =>
    args.push({ dtype, access, size }) - 1;
  const at = (size: number, ...last: number[]): Index => ({
    offset: 0,
    strides: [...batch.map((_, d) => size * batch.slice(d + 1).reduce((x, y) => x * y, 1)), ...last],
  });
  const load = (dtype: "f32" | "f16", size: number, ...last: number[]): Product["a"] => ({
    body: [{ op: "load", type: "f32", arg: arg(dtype, batches * size), index: at(size, ...last) }],
    value: 0,
  });
  const made = products.map(({ k, acc, turnA, turnB, format }): Product => ({
    k,
    acc,
    a: load("f32", m * k, ...(turnA ? [1, m] : [k, 1])),
    b: load(format, k * n, ...(turnB ? [1, k] : [n, 1])),
  }));
  const [bias, mask, out] = [arg("f32", n), arg("bool", m * n), arg("f32", batches * m * n, "write")];
  const epilogue: Instr[] = [];
  const emit = (instr: Instr): number => epilogue.push(instr) - 1;
  let sum = emit({ op: "load", type: "f32", arg: bias, index: at(0, 0, 1) });
  for (let index = 0; index <= Math.max(...products.map((p) => p.acc)); index++) {
    let term = emit({ op: "acc", type: "f32", index });
    if (index % 2 === 1) {
      const kept = emit({ op: "load", type: "bool", arg: mask, index: at(0, n, 1) });
      term = emit({ op: "select", type: "f32", cond: kept, a: term, b: emit({ op: "const", type: "f32", value: 0 }) });
    }
    sum = emit({
      op: "add",
      type: "f32",
      a: sum,
      b: emit({ op: "mul", type: "f32", a: term, b: emit({ op: "const", type: "f32", value: index + 1 }) }),
    });
  }
  return {
    kind: "gemm",
    label: "products",
    args,
    batch,
    m,
    n,
    products: made,
    epilogue,
    stores: [{ arg: out, index: at(m * n, n, 1), value: sum }],
  };
}
