import { describe, expect, it } from "vitest";
import { erf, normalCdf } from "../src/math/erf.ts";
import { f16ToF32, f32ToBf16, f32ToF16, bf16ToF32 } from "../src/math/half.ts";
import { elementBits, elementHalf, type RandomWidth } from "../src/random/threefry.ts";
import type { CodeOptions } from "../src/backends/wasm/loop/code.ts";
import type { Instr, LoopKernel, UnaryOp } from "../src/ir/kernel.ts";
import { enableRelaxedSimd } from "../src/backends/wasm/relaxed-simd.ts";
import { array, compileKernel } from "./wasm-run.ts";
import { elementwise } from "./support/elementwise.ts";

/** Both forms of a multiply-add, where this machine has both. */
const forms = enableRelaxedSimd() ? [{ fma: false }, { fma: true }] : [{ fma: false }];

const POINTS = 1 << 20;

/** e^(x − max x) over one row. */
function belowMaximum(x: Float32Array, options: CodeOptions): Float32Array {
  const size = x.length;
  const index = { offset: 0, strides: [1] };
  const kernel: LoopKernel = {
    kind: "loop",
    label: "softmax",
    outer: [],
    inner: [size],
    args: [
      { dtype: "f32", access: "read", size },
      { dtype: "f32", access: "write", size },
    ],
    body: [
      { op: "load", type: "f32", arg: 0, index },
      { op: "reduce", type: "f32", combine: "max", a: 0 },
      { op: "sub", type: "f32", a: 0, b: 1 },
      { op: "exp", type: "f32", a: 2 },
    ],
    stores: [{ arg: 1, index, value: 3 }],
  };
  return compileKernel(kernel, options).run([x, new Float32Array(size)])[1] as Float32Array;
}

function apply(op: UnaryOp, x: Float32Array, options: CodeOptions = {}): Float32Array {
  return compileKernel(elementwise(x.length, op), options).run([x, new Float32Array(x.length)])[1] as Float32Array;
}

/** `POINTS` floats whose bit patterns are spread evenly between two positive floats, so every binade is sampled alike. */
function spread(low: number, high: number): Float32Array {
  const ends = new Int32Array(Float32Array.of(low, high).buffer);
  const bits = Int32Array.from({ length: POINTS }, (_, i) =>
    Math.round(ends[0]! + ((ends[1]! - ends[0]!) * i) / (POINTS - 1)),
  );
  return new Float32Array(bits.buffer);
}

function linear(low: number, high: number): Float32Array {
  return Float32Array.from({ length: POINTS }, (_, i) => low + ((high - low) * i) / (POINTS - 1));
}

/** Distance in units of the last place of an f32 as large as the true value; subnormals share the smallest unit. */
function ulps(actual: number, truth: number): number {
  if (Object.is(Math.fround(truth), actual) || (Number.isNaN(truth) && Number.isNaN(actual))) return 0;
  if (!Number.isFinite(actual) || !Number.isFinite(truth)) {
    // Values past the largest f32 round to infinity; the last representable step counts as one unit.
    return Math.abs(truth) > 3.4028234e38 && Math.abs(actual) > 3.4028234e38 ? 0 : Infinity;
  }
  const exponent = Math.max(Math.floor(Math.log2(Math.abs(truth))), -126);
  return Math.abs(actual - truth) / 2 ** (exponent - 23);
}

function worst(
  op: UnaryOp,
  x: Float32Array,
  truth: (x: number) => number,
  options: CodeOptions,
): { ulp: number; at: number } {
  const y = apply(op, x, options);
  let ulp = 0;
  let at = 0;
  x.forEach((v, i) => {
    const e = ulps(y[i]!, truth(v));
    if (!(e <= ulp)) {
      ulp = e;
      at = v;
    }
  });
  return { ulp, at };
}

const negate = (x: Float32Array): Float32Array => x.map((v) => -v);
const TINY = 1.4e-45;
const HUGE = 3.4028234e38;

/** Bounds are the measured worst cases, rounded up: they notice any change of coefficients or order. */
const accuracy: { op: UnaryOp; truth: (x: number) => number; ulp: number; ranges: Float32Array[] }[] = [
  {
    op: "exp",
    truth: Math.exp,
    ulp: 1.2,
    ranges: [linear(-104, 89), spread(TINY, 89), negate(spread(TINY, 104)), linear(-1, 1)],
  },
  { op: "log", truth: Math.log, ulp: 0.9, ranges: [spread(TINY, HUGE), linear(0.5, 2)] },
  {
    op: "log1p",
    truth: Math.log1p,
    ulp: 1.5,
    ranges: [spread(TINY, HUGE), negate(spread(TINY, 0.99999994)), linear(-0.9, 3)],
  },
  { op: "tanh", truth: Math.tanh, ulp: 1.45, ranges: [spread(TINY, 100), negate(spread(TINY, 100)), linear(-10, 10)] },
  { op: "erf", truth: erf, ulp: 1.25, ranges: [spread(TINY, 100), negate(spread(TINY, 100)), linear(-4.5, 4.5)] },
  // to where e^(−x²/2) leaves the range of f32
  {
    op: "normalCdf",
    truth: normalCdf,
    ulp: 5.3,
    ranges: [spread(TINY, 100), negate(spread(TINY, 12.9)), linear(-12.9, 9)],
  },
  { op: "sin", truth: Math.sin, ulp: 1.6, ranges: [spread(TINY, 1e5), linear(-1e5, 1e5), linear(-10, 10)] },
  { op: "cos", truth: Math.cos, ulp: 1.6, ranges: [spread(TINY, 1e5), linear(-1e5, 1e5), linear(-10, 10)] },
  // One rounding.
  { op: "sqrt", truth: Math.sqrt, ulp: 0.5, ranges: [spread(TINY, HUGE)] },
  { op: "recip", truth: (x) => 1 / x, ulp: 0.5, ranges: [spread(TINY, HUGE)] },
  // Two roundings: the root's half unit, carried through 1/x, and the quotient's.
  { op: "rsqrt", truth: (x) => 1 / Math.sqrt(x), ulp: 1.5, ranges: [spread(TINY, HUGE)] },
];

describe("vector math", () => {
  it.each(accuracy)("$op stays within $ulp units of the last place", ({ op, truth, ulp, ranges }) => {
    for (const x of ranges)
      for (const form of forms) {
        const found = worst(op, x, truth, form);
        expect(found.ulp, `${op}(${found.at})${form.fma ? ", fused" : ""}`).toBeLessThanOrEqual(ulp);
      }
  });

  it("exp of what lies below a row's maximum stays within 1.3 units, and is 0 where it would be subnormal", () => {
    const ranges = [linear(-88, 0), negate(spread(TINY, 88)), linear(-1, 0), linear(-1000, -87)];
    for (const x of ranges)
      for (const form of forms) {
        // the maximum is 0, so that differences are exact
        const y = belowMaximum(
          x.map((v, i) => (i === 0 ? 0 : v)),
          form,
        );
        const least = 2 ** -126;
        for (let i = 1; i < x.length; i++) {
          const truth = Math.exp(x[i]!);
          if (y[i] === 0 ? truth > 1.0001 * least : ulps(y[i]!, truth) > 1.3)
            expect.fail(`exp(${x[i]}) gave ${y[i]}${form.fma ? ", fused" : ""}`);
        }
      }
    for (const form of forms) {
      expect(Array.from(belowMaximum(Float32Array.of(1, -Infinity, 1, -3e38), form))).toEqual([1, 0, 1, 0]);
      expect(Array.from(belowMaximum(Float32Array.of(1, NaN, -Infinity, 2), form))).toEqual([NaN, NaN, NaN, NaN]);
    }
  });

  const inf = Infinity;
  it.each<[UnaryOp, number[], number[]]>([
    [
      "exp",
      [NaN, inf, -inf, 0, -0, 88.72284, 88.8, -104, -1000, -103.9],
      [NaN, inf, 0, 1, 1, Math.fround(Math.exp(Math.fround(88.72284))), inf, 0, 0, TINY],
    ],
    ["log", [NaN, inf, -inf, 0, -0, 1, -1, -TINY], [NaN, inf, NaN, -inf, -inf, 0, NaN, NaN]],
    ["log1p", [NaN, inf, -inf, 0, -0, -1, -2, TINY], [NaN, inf, NaN, 0, -0, -inf, NaN, TINY]],
    ["tanh", [NaN, inf, -inf, 0, -0, 20, -20], [NaN, 1, -1, 0, -0, 1, -1]],
    ["erf", [NaN, inf, -inf, 0, -0, 5, -5], [NaN, 1, -1, 0, -0, 1, -1]],
    ["normalCdf", [NaN, inf, -inf, 0, -0, 9, -14, -1e30], [NaN, 1, 0, 0.5, 0.5, 1, 0, 0]],
    ["sin", [NaN, inf, -inf, 0, -0], [NaN, NaN, NaN, 0, -0]],
    ["cos", [NaN, inf, -inf, 0, -0], [NaN, NaN, NaN, 1, 1]],
    ["sqrt", [NaN, inf, -1, 0, -0], [NaN, inf, NaN, 0, -0]],
    ["recip", [NaN, inf, -inf, 0, -0], [NaN, 0, -0, inf, -inf]],
    ["floor", [NaN, inf, -0.5, 2.5, -0], [NaN, inf, -1, 2, -0]],
  ])("%s at the special values", (op, x, expected) => {
    const fround = Float32Array.from(expected);
    for (const form of forms) expect(Array.from(apply(op, Float32Array.from(x), form))).toEqual(Array.from(fround));
  });

  it("sine and cosine stay in [-1, 1] for any finite argument", () => {
    for (const op of ["sin", "cos"] as const)
      for (const form of forms) expect(apply(op, spread(1e5, HUGE), form).every((y) => Math.abs(y) <= 1)).toBe(true);
  });

  it.each(accuracy.map((a) => a.op))("%s gives one lane, four lanes and a shared function the same bits", (op) => {
    const x = Float32Array.from({ length: 4099 }, (_, i) => Math.fround((i - 2000) * 0.0137));
    for (const form of forms) {
      const vector = new Uint32Array(apply(op, x, form).buffer);
      const called = new Uint32Array(apply(op, x, { ...form, mathCalls: true }).buffer);
      expect(called).toEqual(vector);
      for (const i of [0, 1000, 2000, 2077, 4098])
        expect(new Uint32Array(apply(op, x.slice(i, i + 1), form).buffer)[0]).toBe(vector[i]);
    }
  });
});

describe("16-bit floats", () => {
  const all = Uint16Array.from({ length: 65536 }, (_, i) => i);

  function convert(
    from: "f16" | "bf16" | "f32",
    to: "f16" | "bf16" | "f32",
    data: Uint16Array | Float32Array,
    size = data.length,
  ): Uint16Array | Float32Array {
    const index = { offset: 0, strides: [1] };
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
    return compileKernel(kernel).run([data, array(to, size)])[1] as Uint16Array | Float32Array;
  }

  it.each(["f16", "bf16"] as const)("widening every %s is exact", (format) => {
    const expected = format === "f16" ? f16ToF32(all) : bf16ToF32(all);
    expect(convert(format, "f32", all)).toEqual(expected);
  });

  it.each(["f16", "bf16"] as const)("narrowing to %s rounds to nearest even at and around every boundary", (format) => {
    const widen = format === "f16" ? f16ToF32 : bf16ToF32;
    const values = widen(all).filter((v) => Number.isFinite(v));
    const points: number[] = [];
    values.sort().forEach((v, i) => {
      const next = values[i + 1] ?? v * 2;
      const middle = Math.fround((v + next) / 2);
      const bits = new Int32Array(Float32Array.of(middle).buffer)[0]!;
      points.push(v, middle, ...new Float32Array(Int32Array.of(bits + 1, bits - 1).buffer));
    });
    const x = Float32Array.from(
      [...points, 65519.996, 65520, 65536, HUGE, -HUGE, Infinity, -Infinity, TINY, -TINY, 0, -0].filter(
        (v) => !Number.isNaN(v),
      ),
    );
    const expected = format === "f16" ? f32ToF16(x) : f32ToBf16(x);
    expect(convert("f32", format, x)).toEqual(expected);
    // One by one, the scalar form: a few from everywhere.
    for (let i = 0; i < x.length; i += 16381) expect(convert("f32", format, x.slice(i, i + 1))[0]).toBe(expected[i]);
  });

  it("keeps NaN", () => {
    const nans = new Float32Array(Uint32Array.of(0x7fc00000, 0x7f800001, 0xffffffff, 0xffc12345).buffer);
    for (const format of ["f16", "bf16"] as const)
      expect(Array.from(convert(format, "f32", convert("f32", format, nans)))).toEqual([NaN, NaN, NaN, NaN]);
  });
});

describe("random bits", () => {
  /** Bits of elements start, start + 1, …, in rows of `row`. */
  function words(
    key: readonly [number, number],
    start: number,
    site: number,
    size: number,
    row: number = size,
    bits: RandomWidth = 32,
  ): Uint32Array {
    const body: Instr[] = [
      { op: "const", type: "u32", value: key[0] },
      { op: "const", type: "u32", value: key[1] },
      { op: "const", type: "u32", value: site },
      { op: "coord", type: "i32", dim: 0 },
      { op: "const", type: "i32", value: row },
      { op: "mul", type: "i32", a: 3, b: 4 },
      { op: "coord", type: "i32", dim: 1 },
      { op: "add", type: "i32", a: 5, b: 6 },
      { op: "const", type: "i32", value: start },
      { op: "add", type: "i32", a: 7, b: 8 },
      { op: "cast", type: "u32", a: 9 },
      { op: "random", type: "u32", bits, k0: 0, k1: 1, index: 10, row: 2 },
    ];
    const store = { arg: 0, index: { offset: 0, strides: [row, 1] }, value: 11 };
    const kernel: LoopKernel = {
      kind: "loop",
      label: "bits",
      outer: [size / row, row],
      inner: [],
      args: [{ dtype: "u32", access: "write", size }],
      body,
      stores: [store],
    };
    return compileKernel(kernel).run([new Uint32Array(size)], [0.3, 0.5])[0] as Uint32Array;
  }

  /** Known answers of Random123 1.14 (kat_vectors): key, counter, both words; the counter of element i is 4⌊i/8⌋ + i mod 4. */
  it.each<[[number, number], [number, number], [number, number]]>([
    [
      [0, 0],
      [0, 0],
      [0x6b200159, 0x99ba4efe],
    ],
    [
      [0x13198a2e, 0x03707344],
      [0x243f6a88, 0x85a308d3],
      [0xc4923a9c, 0x483df7a0],
    ],
  ])("key %j counter %j gives the published words", (key, counter, expected) => {
    const element = (counter[0] >>> 2) * 8 + (counter[0] & 3);
    for (const size of [1, 8]) expect(words(key, element, counter[1], size)[0]).toBe(expected[0]);
    for (const size of [1, 8]) expect(words(key, element + 4, counter[1], size)[0]).toBe(expected[1]);
  });

  // rows and starts of every remainder by 4, 8 and 16; rows that two calls divide, that one call divides, and neither
  it.each([
    [0, 1027, 1027],
    [3, 1027, 1027],
    [8, 4096, 64],
    [16, 4096, 64],
    [8, 4100, 20],
    [4, 96, 8],
    [0, 96, 8],
    [0, 8192, 4096],
    [0, 480, 48],
    [16, 240, 24],
    [8, 480, 48],
    [0, 64, 16],
    [0, 130, 13],
  ])("agrees with the host from element %i on, %i of them in rows of %i", (start, size, row) => {
    expect([...words([1, 2], start, 9, size, row)]).toEqual(
      Array.from({ length: size }, (_, i) => elementBits([1, 2], start + i, 9)),
    );
    expect([...words([1, 2], start, 9, size, row, 16)]).toEqual(
      Array.from({ length: size }, (_, i) => elementHalf([1, 2], start + i, 9)),
    );
  });

  it.each<RandomWidth>([16, 32])(
    "takes %i bits of an element's own under keys and sites that differ from element to element",
    (bits) => {
      const size = 64;
      const index = { offset: 0, strides: [1] };
      const body: Instr[] = [
        { op: "coord", type: "i32", dim: 0 },
        { op: "cast", type: "u32", a: 0 },
        { op: "const", type: "u32", value: 7 },
        { op: "random", type: "u32", bits, k0: 1, k1: 2, index: 1, row: 2 },
        { op: "random", type: "u32", bits, k0: 2, k1: 1, index: 2, row: 1 },
      ];
      const args = [
        { dtype: "u32", access: "write", size },
        { dtype: "u32", access: "write", size },
      ] as const;
      const kernel: LoopKernel = {
        kind: "loop",
        label: "bits",
        outer: [size],
        inner: [],
        args,
        body,
        stores: [3, 4].map((value, arg) => ({ arg, index, value })),
      };
      const draw = bits === 16 ? elementHalf : elementBits;
      const [a, b] = compileKernel(kernel).run([new Uint32Array(size), new Uint32Array(size)]);
      expect([...a!]).toEqual(Array.from({ length: size }, (_, i) => draw([i, 7], i, 7)));
      expect([...b!]).toEqual(Array.from({ length: size }, (_, i) => draw([7, i], 7, i)));
    },
  );

  // lanes along the sum and across sums, with one to eight copies
  it.each([
    [3, 512, 1],
    [3, 96, 1],
    [3, 40, 1],
    [40, 6, 40],
    [96, 6, 96],
    [24, 5, 24],
  ])("adds 16-bit values of %i rows of %i, %i apart, as the host does", (rows, columns, step) => {
    const of = [step === 1 ? columns : 1, step] as const;
    const body: Instr[] = [
      { op: "const", type: "u32", value: 5 },
      { op: "coord", type: "i32", dim: 0 },
      { op: "const", type: "i32", value: of[0] },
      { op: "mul", type: "i32", a: 1, b: 2 },
      { op: "coord", type: "i32", dim: 1 },
      { op: "const", type: "i32", value: of[1] },
      { op: "mul", type: "i32", a: 4, b: 5 },
      { op: "add", type: "i32", a: 3, b: 6 },
      { op: "cast", type: "u32", a: 7 },
      { op: "random", type: "u32", bits: 16, k0: 0, k1: 0, index: 8, row: 0 },
      { op: "reduce", type: "u32", combine: "sum", a: 9 },
    ];
    const kernel: LoopKernel = {
      kind: "loop",
      label: "bits",
      outer: [rows],
      inner: [columns],
      args: [{ dtype: "u32", access: "write", size: rows }],
      body,
      stores: [{ arg: 0, index: { offset: 0, strides: [1, 0] }, value: 10 }],
    };
    const want = Array.from({ length: rows }, (_, r) =>
      Array.from({ length: columns }, (_, k) => elementHalf([5, 5], r * of[0] + k * of[1], 5)).reduce(
        (sum, x) => sum + x,
      ),
    );
    expect([...compileKernel(kernel).run([new Uint32Array(rows)])[0]!]).toEqual(want);
  });
});
