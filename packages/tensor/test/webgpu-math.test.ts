import { afterAll, describe, expect, it } from "vitest";
import { elementBits, elementHalf, type RandomWidth } from "../src/random/threefry.ts";
import type { Instr, LoopKernel, UnaryOp } from "../src/ir/kernel.ts";
import { erf, normalCdf } from "../src/math/erf.ts";
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "../src/math/half.ts";
import type { WebGpuBackend } from "../src/backends/webgpu/backend.ts";
import { bytesFor, closeWebgpu, runKernel, webgpuOrSkip } from "./support/webgpu.ts";
import { elementwise } from "./support/elementwise.ts";

afterAll(closeWebgpu);

const POINTS = 1 << 14;
const index = { offset: 0, strides: [1] };

async function apply(backend: WebGpuBackend, op: UnaryOp, x: Float32Array): Promise<Float32Array> {
  return (await runKernel(backend, elementwise(x.length, op), [x, new Float32Array(x.length)]))[1] as Float32Array;
}

function linear(low: number, high: number): Float32Array {
  return Float32Array.from({ length: POINTS }, (_, i) => low + ((high - low) * i) / (POINTS - 1));
}

/** Bit patterns spread evenly between two positive floats, so that every binade is sampled alike. */
function spread(low: number, high: number): Float32Array {
  const ends = new Int32Array(Float32Array.of(low, high).buffer);
  return new Float32Array(
    Int32Array.from({ length: POINTS }, (_, i) => Math.round(ends[0]! + ((ends[1]! - ends[0]!) * i) / (POINTS - 1)))
      .buffer,
  );
}

/** Units of the last place of an f32 as large as the truth; results below the normal range may be flushed to zero. */
function ulps(actual: number, truth: number): number {
  const exponent = Math.max(Math.floor(Math.log2(Math.abs(truth))), -126);
  return Math.abs(truth) < 2 ** -126 && actual === 0 ? 0 : Math.abs(actual - truth) / 2 ** (exponent - 23);
}

const NORMAL = 2 ** -126;
/**
 * Polynomial and reduction cost about 1 unit (measured on the WebAssembly device, which shares them); WGSL allows a division
 * 2.5 units and a square root what its own inverse and a division take. log1p rounds 1 + x once where |ln(1 + x)| ≥ 0.34: 0.5·2⁻²³/0.34 more.
 */
const accuracy: { op: UnaryOp; truth: (x: number) => number; ulp: number; ranges: Float32Array[] }[] = [
  { op: "exp", truth: Math.exp, ulp: 2, ranges: [linear(-87, 88), linear(-1, 1)] },
  { op: "log", truth: Math.log, ulp: 2, ranges: [spread(NORMAL, 3e38), linear(0.5, 2)] },
  { op: "log1p", truth: Math.log1p, ulp: 3.5, ranges: [spread(NORMAL, 3e38), linear(-0.999, 3)] },
  { op: "tanh", truth: Math.tanh, ulp: 3, ranges: [spread(NORMAL, 100), linear(-10, 10)] },
  // its terms are an eighth of x: from 2⁻¹²² on none is subnormal
  { op: "erf", truth: erf, ulp: 2, ranges: [spread(2 ** -122, 100), linear(-4.5, 4.5)] },
  // two exponentials and a division
  { op: "normalCdf", truth: normalCdf, ulp: 8, ranges: [linear(-12.5, 9)] },
  { op: "sin", truth: Math.sin, ulp: 2, ranges: [linear(-3, 3)] },
  { op: "cos", truth: Math.cos, ulp: 2, ranges: [linear(-1.5, 1.5)] },
  { op: "sqrt", truth: Math.sqrt, ulp: 5, ranges: [spread(NORMAL, 3e38)] },
  { op: "rsqrt", truth: (x) => 1 / Math.sqrt(x), ulp: 7.5, ranges: [spread(NORMAL, 3e38)] },
  { op: "recip", truth: (x) => 1 / x, ulp: 2.5, ranges: [spread(2 ** -125, 2 ** 125)] },
];

describe("functions in WGSL", () => {
  it.for(accuracy)("$op stays within $ulp units of the last place", async ({ op, truth, ulp, ranges }, ctx) => {
    const backend = await webgpuOrSkip(ctx);
    for (const x of ranges) {
      const y = await apply(backend, op, x);
      let worst = { ulp: 0, at: 0 };
      x.forEach((v, i) => {
        const found = ulps(y[i]!, truth(v));
        if (!(found <= worst.ulp)) worst = { ulp: found, at: v };
      });
      expect(worst.ulp, `${op}(${worst.at})`).toBeLessThanOrEqual(ulp);
    }
  });

  const inf = Infinity;
  it.for<[UnaryOp, number[], number[]]>([
    ["exp", [NaN, inf, -inf, 0, -0, 88.8, -1000], [NaN, inf, 0, 1, 1, inf, 0]],
    ["log", [NaN, inf, -inf, 0, -0, 1, -1], [NaN, inf, NaN, -inf, -inf, 0, NaN]],
    ["log1p", [NaN, inf, -inf, 0, -1, -2], [NaN, inf, NaN, 0, -inf, NaN]],
    ["tanh", [NaN, inf, -inf, 0, 20, -1e30], [NaN, 1, -1, 0, 1, -1]],
    ["erf", [NaN, inf, -inf, 0, 5, -1e30], [NaN, 1, -1, 0, 1, -1]],
    ["sin", [NaN, inf, -inf, 0], [NaN, NaN, NaN, 0]],
    ["cos", [NaN, inf, -inf, 0], [NaN, NaN, NaN, 1]],
    ["recip", [NaN, inf, 0], [NaN, 0, inf]],
    ["floor", [-0.5, 2.5], [-1, 2]],
  ])("%s at the special values", async ([op, x, expected], ctx) => {
    const y = await apply(await webgpuOrSkip(ctx), op, Float32Array.from(x));
    // + 0 turns −0 into 0: signs of zero are not promised
    expect(Array.from(y, (v) => v + 0)).toEqual(expected);
  });
});

describe("sine and cosine in WGSL", () => {
  it.for([
    ["sin", Math.sin],
    ["cos", Math.cos],
  ] as const)("%s keeps its absolute error up to |x| = 10000, and its range everywhere", async ([op, truth], ctx) => {
    const backend = await webgpuOrSkip(ctx);
    const x = linear(-10_000, 10_000);
    // two units at 1, plus n·(rounding of the third part of π/2) = 6366 · 7.5e-8 · 2⁻²⁴, which is nothing
    (await apply(backend, op, x)).forEach((y, i) => expect(Math.abs(y - truth(x[i]!))).toBeLessThan(2 ** -22));
    for (const y of await apply(backend, op, spread(1e4, 3e38))) expect(Math.abs(y)).toBeLessThanOrEqual(1);
  });
});

describe("16-bit floats in WGSL", () => {
  async function convert(
    backend: WebGpuBackend,
    from: "f16" | "bf16" | "f32",
    to: "f16" | "bf16" | "f32",
    data: Uint16Array | Float32Array,
  ): Promise<Uint16Array | Float32Array> {
    const size = data.length;
    const kernel: LoopKernel = {
      kind: "loop",
      label: "convert",
      outer: [size],
      inner: [],
      args: [
        { dtype: from, access: "read", size },
        { dtype: to, access: "write", size },
      ],
      body: [{ op: "load", type: "f32", arg: 0, index }],
      stores: [{ arg: 1, index, value: 0 }],
    };
    return (await runKernel(backend, kernel, [data, bytesFor(kernel)[1]!]))[1] as Uint16Array | Float32Array;
  }
  const all = Uint16Array.from({ length: 65536 }, (_, i) => i);

  it.for(["f16", "bf16"] as const)("widening every normal %s is exact", async (format, ctx) => {
    const expected = format === "f16" ? f16ToF32(all) : bf16ToF32(all);
    const actual = await convert(await webgpuOrSkip(ctx), format, "f32", all);
    // devices may flush subnormal f32, which only bf16 can produce
    expect(Array.from(actual)).toEqual(
      Array.from(expected, (v, i) => (Math.abs(v) < NORMAL && actual[i] === 0 ? actual[i] : v)),
    );
  });

  it.for(["f16", "bf16"] as const)(
    "narrowing to %s rounds to nearest even at and around every boundary",
    async (format, ctx) => {
      const widen = format === "f16" ? f16ToF32 : bf16ToF32;
      const values = widen(all).filter((v) => Number.isFinite(v) && Math.abs(v) >= NORMAL);
      const points: number[] = [];
      values.sort().forEach((v, i) => {
        const middle = Math.fround((v + (values[i + 1] ?? v * 2)) / 2);
        const bits = new Int32Array(Float32Array.of(middle).buffer)[0]!;
        points.push(v, middle, ...new Float32Array(Int32Array.of(bits + 1, bits - 1).buffer));
      });
      const x = Float32Array.from(
        [...points, 65519.996, 65520, 65536, Infinity, -Infinity, 0, -0].filter((v) => !Number.isNaN(v)),
      );
      expect(await convert(await webgpuOrSkip(ctx), "f32", format, x)).toEqual(
        format === "f16" ? f32ToF16(x) : f32ToBf16(x),
      );
    },
  );
});

describe("random bits in WGSL", () => {
  it.for<[RandomWidth, typeof elementBits]>([
    [32, elementBits],
    [16, elementHalf],
  ])("agrees with the host on %i bits", async ([bits, draw], ctx) => {
    const size = 1027;
    const body: Instr[] = [
      { op: "const", type: "u32", value: 0x13198a2e },
      { op: "const", type: "u32", value: 0x03707344 },
      { op: "coord", type: "i32", dim: 0 },
      { op: "cast", type: "u32", a: 2 },
      { op: "const", type: "u32", value: 0xffffffff },
      { op: "random", type: "u32", bits, k0: 0, k1: 1, index: 3, row: 4 },
    ];
    const kernel: LoopKernel = {
      kind: "loop",
      label: "bits",
      outer: [size],
      inner: [],
      args: [{ dtype: "u32", access: "write", size }],
      body,
      stores: [{ arg: 0, index, value: 5 }],
    };
    const [words] = await runKernel(await webgpuOrSkip(ctx), kernel, bytesFor(kernel));
    expect(Array.from(words!)).toEqual(
      Array.from({ length: size }, (_, i) => draw([0x13198a2e, 0x03707344], i, 0xffffffff)),
    );
  });
});
