import fc from "fast-check";
import { afterAll, describe, expect, it, type TestContext } from "vitest";
import { dtypes, type DType, type TypedArray } from "../src/dtype.ts";
import { interpretKernel } from "../src/ir/interpret.ts";
import type { GemmKernel, Index, Instr, Kernel, LoopKernel, ScatterKernel, ValueType } from "../src/ir/kernel.ts";
import { f32ToBf16, f32ToF16 } from "../src/math/half.ts";
import { productsKernel, productSpecs } from "./support/products.ts";
import { closeWebgpu, runKernel, webgpuOrSkip } from "./support/webgpu.ts";

afterAll(closeWebgpu);

const registers: Record<Exclude<DType, "f64">, ValueType> = {
  f32: "f32",
  f16: "f32",
  bf16: "f32",
  i32: "i32",
  u32: "u32",
  u8: "u32",
  bool: "bool",
};

/** Small values that every dtype holds exactly, so that sums and products of a few are exact in f32 as well. */
function fill(dtype: DType, size: number, seed = 1): TypedArray {
  const values = Float32Array.from({ length: size }, (_, i) => {
    const x = (i * 7 + seed * 13) % 11;
    return dtype === "bool" ? x % 2 : dtype === "u8" || dtype === "u32" ? x : x - 5;
  });
  if (dtype === "f16") return f32ToF16(values);
  if (dtype === "bf16") return f32ToBf16(values);
  const data = new dtypes[dtype].array(new ArrayBuffer(size * dtypes[dtype].bytes));
  data.set(values);
  return data;
}

/** Runs on the device and in the interpreter, and compares every argument. */
async function expectLikeInterpreter(
  ctx: TestContext,
  kernel: Kernel,
  buffers: readonly TypedArray[],
): Promise<TypedArray[]> {
  const actual = await runKernel(await webgpuOrSkip(ctx), kernel, buffers);
  const expected = buffers.map((b) => b.slice());
  interpretKernel(kernel, expected, { precision: "f32" });
  expected.forEach((e, i) => expect(Array.from(actual[i]!), `argument ${i} of ${kernel.label}`).toEqual(Array.from(e)));
  return actual;
}

const at = (...strides: number[]): Index => ({ offset: 0, strides });
const load = (dtype: Exclude<DType, "f64">, arg: number, index: Index): Instr => ({
  op: "load",
  type: registers[dtype],
  arg,
  index,
});

describe("loops in WGSL", () => {
  it("copies every dtype at every size around a word, and leaves what lies beyond alone", async (ctx) => {
    await webgpuOrSkip(ctx);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...(Object.keys(registers) as Exclude<DType, "f64">[])),
        fc.integer({ min: 1, max: 300 }),
        fc.integer({ min: 0, max: 5 }),
        async (dtype, size, offset) => {
          const kernel: LoopKernel = {
            kind: "loop",
            label: `copy ${dtype}`,
            outer: [size],
            inner: [],
            args: [
              { dtype, access: "read", size },
              { dtype, access: "write", size: size + offset + 3 },
            ],
            body: [load(dtype, 0, at(1))],
            stores: [{ arg: 1, index: { offset, strides: [1] }, value: 0 }],
          };
          await expectLikeInterpreter(ctx, kernel, [fill(dtype, size), fill(dtype, size + offset + 3, 2)]);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("writes whole bytes: nothing of what was there before shines through", async (ctx) => {
    for (const dtype of ["bool", "u8"] as const) {
      const size = 13;
      const kernel: LoopKernel = {
        kind: "loop",
        label: "overwrite",
        outer: [size],
        inner: [],
        args: [
          { dtype, access: "read", size },
          { dtype, access: "write", size },
        ],
        body: [load(dtype, 0, at(1))],
        stores: [{ arg: 1, index: at(1), value: 0 }],
      };
      await expectLikeInterpreter(ctx, kernel, [fill(dtype, size), new Uint8Array(size).fill(255)]);
    }
  });

  it.for([
    [3, 5],
    [2, 64],
    [7, 1000],
    [70_000, 3],
  ])("subtracts each row's maximum and divides by its sum: %s rows of %s", async ([rows, columns], ctx) => {
    const backend = await webgpuOrSkip(ctx);
    const size = rows! * columns!;
    const body: Instr[] = [
      load("f32", 0, at(columns!, 1)),
      { op: "reduce", type: "f32", combine: "max", a: 0 },
      { op: "sub", type: "f32", a: 0, b: 1 },
      { op: "exp", type: "f32", a: 2 },
      { op: "reduce", type: "f32", combine: "sum", a: 3 },
      { op: "div", type: "f32", a: 3, b: 4 },
    ];
    const kernel: LoopKernel = {
      kind: "loop",
      label: "softmax",
      outer: [rows!],
      inner: [columns!],
      args: [
        { dtype: "f32", access: "read", size },
        { dtype: "f32", access: "write", size },
        { dtype: "f32", access: "write", size: rows! },
      ],
      body,
      stores: [
        { arg: 1, index: at(columns!, 1), value: 5 },
        { arg: 2, index: at(1, 0), value: 1 },
      ],
    };
    const [x, y, top] = (await runKernel(backend, kernel, [
      fill("f32", size),
      new Float32Array(size),
      new Float32Array(rows!),
    ])) as [Float32Array, Float32Array, Float32Array];
    for (const row of [0, rows! >> 1, rows! - 1]) {
      const of = Array.from(x.subarray(row * columns!, (row + 1) * columns!));
      const max = Math.max(...of);
      const total = of.reduce((sum, v) => sum + Math.exp(v - max), 0);
      expect(top[row]).toBe(max);
      // exp costs 1 unit, a blocked sum of 1000 terms at most 80 roundings, the division 2.5
      of.forEach((v, i) =>
        expect(Math.abs(y[row * columns! + i]! / (Math.exp(v - max) / total) - 1)).toBeLessThan(100 * 2 ** -24),
      );
    }
  });

  it("adds up a million tenths without losing digits to the length of the sum", async (ctx) => {
    const size = 1_000_000;
    const kernel: LoopKernel = {
      kind: "loop",
      label: "sum",
      outer: [],
      inner: [size],
      args: [
        { dtype: "f32", access: "read", size },
        { dtype: "f32", access: "write", size: 1 },
      ],
      body: [load("f32", 0, at(1)), { op: "reduce", type: "f32", combine: "sum", a: 0 }],
      stores: [{ arg: 1, index: at(0), value: 1 }],
    };
    const [, total] = await runKernel(await webgpuOrSkip(ctx), kernel, [
      new Float32Array(size).fill(0.1),
      new Float32Array(1),
    ]);
    // 128 invocations add ≤ 64 terms in a block and ≤ 123 blocks, then 7 levels of the tree: 194 roundings of 2⁻²⁴ at worst
    expect(Math.abs(total![0]! / (size * Math.fround(0.1)) - 1)).toBeLessThan(194 * 2 ** -24);
  });

  it("finds maxima of integers and the NaN in a row, short or long", async (ctx) => {
    for (const columns of [5, 300]) {
      const body: Instr[] = [
        load("f32", 0, at(columns, 1)),
        { op: "reduce", type: "f32", combine: "max", a: 0 },
        load("i32", 1, at(columns, 1)),
        { op: "reduce", type: "i32", combine: "max", a: 2 },
      ];
      const kernel: LoopKernel = {
        kind: "loop",
        label: "maxima",
        outer: [3],
        inner: [columns],
        args: [
          { dtype: "f32", access: "read", size: 3 * columns },
          { dtype: "i32", access: "read", size: 3 * columns },
          { dtype: "f32", access: "write", size: 3 },
          { dtype: "i32", access: "write", size: 3 },
        ],
        body,
        stores: [
          { arg: 2, index: at(1, 0), value: 1 },
          { arg: 3, index: at(1, 0), value: 3 },
        ],
      };
      const x = fill("f32", 3 * columns);
      x[2] = 5;
      x[columns + 3] = NaN;
      x.fill(-Infinity, 2 * columns);
      const found = await expectLikeInterpreter(ctx, kernel, [
        x,
        fill("i32", 3 * columns),
        new Float32Array(3),
        new Int32Array(3),
      ]);
      expect(Array.from(found[2]!)).toEqual([5, NaN, -Infinity]);
    }
  });

  it("touches no memory where a guard fails, and fills with any value", async (ctx) => {
    for (const value of [0, -1.5, Infinity, -Infinity, NaN]) {
      const index: Index = { offset: -2, strides: [1], guards: [{ offset: -2, strides: [1], size: 4 }], fill: value };
      const kernel: LoopKernel = {
        kind: "loop",
        label: "pad",
        outer: [9],
        inner: [],
        args: [
          { dtype: "f32", access: "read", size: 4 },
          { dtype: "f32", access: "write", size: 9 },
        ],
        body: [load("f32", 0, index)],
        stores: [{ arg: 1, index: at(1), value: 0 }],
      };
      await expectLikeInterpreter(ctx, kernel, [fill("f32", 4), new Float32Array(9)]);
    }
  });

  it("gathers through an index argument and updates in place", async (ctx) => {
    const body: Instr[] = [
      load("i32", 0, at(1, 0)),
      { op: "load", type: "f32", arg: 1, index: { offset: 0, strides: [0, 1], dynamic: [{ value: 0, stride: 6 }] } },
      load("f16", 2, at(6, 1)),
      { op: "add", type: "f32", a: 1, b: 2 },
    ];
    const kernel: LoopKernel = {
      kind: "loop",
      label: "gather",
      outer: [4, 6],
      inner: [],
      args: [
        { dtype: "i32", access: "read", size: 4 },
        { dtype: "f32", access: "read", size: 18 },
        { dtype: "f16", access: "readwrite", size: 24 },
      ],
      body,
      stores: [{ arg: 2, index: at(6, 1), value: 3 }],
    };
    await expectLikeInterpreter(ctx, kernel, [Int32Array.of(2, 0, 1, 2), fill("f32", 18), fill("f16", 24)]);
  });

  it("casts floats to integers by truncation and saturation", async (ctx) => {
    const x = Float32Array.of(
      NaN,
      Infinity,
      -Infinity,
      1e20,
      -1e20,
      2.9,
      -2.9,
      0.5,
      4294967040,
      2147483520,
      -2147483648,
      -0.5,
    );
    const size = x.length;
    const kernel: LoopKernel = {
      kind: "loop",
      label: "cast",
      outer: [size],
      inner: [],
      args: [
        { dtype: "f32", access: "read", size },
        { dtype: "i32", access: "write", size },
        { dtype: "u32", access: "write", size },
      ],
      body: [load("f32", 0, at(1)), { op: "cast", type: "i32", a: 0 }, { op: "cast", type: "u32", a: 0 }],
      stores: [
        { arg: 1, index: at(1), value: 1 },
        { arg: 2, index: at(1), value: 2 },
      ],
    };
    await expectLikeInterpreter(ctx, kernel, [x, new Int32Array(size), new Uint32Array(size)]);
  });

  it("runs more rows than one dimension of the grid has workgroups for", async (ctx) => {
    const size = 65535 * 64 + 100;
    const kernel: LoopKernel = {
      kind: "loop",
      label: "iota",
      outer: [size],
      inner: [],
      args: [{ dtype: "i32", access: "write", size }],
      body: [{ op: "coord", type: "i32", dim: 0 }],
      stores: [{ arg: 0, index: at(1), value: 0 }],
    };
    const [x] = await runKernel(await webgpuOrSkip(ctx), kernel, [new Int32Array(size)]);
    expect(x!.findIndex((v, i) => v !== i)).toBe(-1);
  });
});

describe("products in WGSL", () => {
  const product = (
    batch: number[],
    m: number,
    n: number,
    k: number,
    dtype: "f32" | "f16" | "bf16",
    transposed: boolean,
  ): GemmKernel => {
    const batches = batch.reduce((a, b) => a * b, 1);
    const outer = (size: number): number[] => batch.map((_, d) => size * batch.slice(d + 1).reduce((a, b) => a * b, 1));
    const b: Index = transposed ? at(...outer(k * n), 1, k) : at(...outer(k * n), n, 1);
    const bias: Instr = { op: "load", type: "f32", arg: 2, index: at(...batch.map(() => 0), 0, 1) };
    return {
      kind: "gemm",
      label: "product",
      batch,
      m,
      n,
      args: [
        { dtype, access: "read", size: batches * m * k },
        { dtype, access: "read", size: batches * k * n },
        { dtype: "f32", access: "read", size: n },
        { dtype, access: "write", size: batches * m * n },
      ],
      products: [
        {
          k,
          a: { body: [load(dtype, 0, at(...outer(m * k), k, 1))], value: 0 },
          b: { body: [load(dtype, 1, b)], value: 0 },
          acc: 0,
        },
      ],
      epilogue: [{ op: "acc", type: "f32", index: 0 }, bias, { op: "add", type: "f32", a: 0, b: 1 }],
      stores: [{ arg: 3, index: at(...outer(m * n), n, 1), value: 2 }],
    };
  };

  it("agrees with the interpreter bit for bit on integers, with a bias, for any shape and float format", async (ctx) => {
    await webgpuOrSkip(ctx);
    const size = fc.integer({ min: 1, max: 40 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
        size,
        size,
        size,
        fc.constantFrom("f32" as const, "f16" as const, "bf16" as const),
        fc.boolean(),
        async (batch, m, n, k, dtype, transposed) => {
          const kernel = product(batch, m, n, k, dtype, transposed);
          await expectLikeInterpreter(
            ctx,
            kernel,
            kernel.args.map((a, i) => fill(a.dtype, a.size, i)),
          );
        },
      ),
      { numRuns: 30 },
    );
  });

  it("adds several products up, each in its accumulator", async (ctx) => {
    await webgpuOrSkip(ctx);
    await fc.assert(
      fc.asyncProperty(productSpecs(2, 40), async (spec) => {
        const kernel = productsKernel(spec);
        await expectLikeInterpreter(
          ctx,
          kernel,
          kernel.args.map((a, i) => fill(a.dtype, a.size, i)),
        );
      }),
      { numRuns: 15 },
    );
  });

  it.for([
    [130, 260, 33],
    [600, 530, 5],
  ])("uses larger tiles for larger results: m = %s, n = %s, k = %s", async ([m, n, k], ctx) => {
    const kernel = product([], m!, n!, k!, "f32", false);
    await expectLikeInterpreter(
      ctx,
      kernel,
      kernel.args.map((a, i) => fill(a.dtype, a.size, i)),
    );
  });
});

describe("scatter-add in WGSL", () => {
  it("adds rows with equal ids, drops those outside, and clears the others", async (ctx) => {
    await webgpuOrSkip(ctx);
    const ids = fc.array(fc.integer({ min: -2, max: 40 }), { minLength: 1, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(
        ids,
        fc.integer({ min: 1, max: 38 }),
        fc.integer({ min: 1, max: 70 }),
        async (list, rows, cols) => {
          const count = list.length;
          const kernel: ScatterKernel = {
            kind: "scatter",
            label: "scatter",
            rows,
            cols,
            count,
            out: 2,
            args: [
              { dtype: "i32", access: "read", size: count },
              { dtype: "f16", access: "read", size: count * cols },
              { dtype: "f32", access: "write", size: rows * cols },
            ],
            ids: { body: [load("i32", 0, at(1))], value: 0 },
            src: { body: [load("f16", 1, at(cols, 1))], value: 0 },
          };
          await expectLikeInterpreter(ctx, kernel, [
            Int32Array.from(list),
            fill("f16", count * cols),
            new Float32Array(rows * cols).fill(9),
          ]);
        },
      ),
      { numRuns: 30 },
    );
  });
});
