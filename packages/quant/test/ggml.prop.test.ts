/** ggml's blocks against a description of them by single bits: on the host, on devices, by rows, turned, and inside products. */
import { fc, test } from "@fast-check/vitest";
import type { Format, LoadTarget } from "@lowrank/nn";
import { compile, grad, init, LowrankError, ops, type Device, type TensorSource } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { formatOf, formats } from "../src/index.ts";

const { fround } = Math;

type Bits = (at: number, count: number) => number;
interface Form {
  readonly elements: number;
  readonly bytes: number;
  /** Where f16 numbers begin. */
  readonly halves: readonly number[];
  /** Element i, from bits of the block: `bits(at, n)` is the number in n bits from bit `at` on, low ones first. */
  element(bits: Bits, i: number, halves: readonly number[]): number;
}

const signed8 = (x: number): number => (x > 127 ? x - 256 : x);
/** Four bits of element i of 32 whose 16 bytes begin at byte `at`. */
const half = (bits: Bits, at: number, i: number): number => bits(8 * (at + (i % 16)) + 4 * Math.floor(i / 16), 4);
/** Scale or minimum of part p, in twelve bytes from byte 4 on: see `get_scale_min_k4` of ggml-quants.c. */
const six = (bits: Bits, p: number, minimum: boolean): number => {
  const own = 8 * (4 + (minimum ? 4 : 0) + (p % 4));
  return p < 4 ? bits(own, 6) : bits(8 * (8 + p) + (minimum ? 4 : 0), 4) + 16 * bits(own + 6, 2);
};
const kValue = (bits: Bits, p: number, q: number, [d, dmin]: readonly number[]): number =>
  fround(fround(fround(d! * six(bits, p, false)) * q) - fround(dmin! * six(bits, p, true)));
/** Four bits of element i of 256 whose 128 bytes begin at byte `at`. */
const kHalf = (bits: Bits, at: number, i: number): number =>
  bits(8 * (at + 32 * Math.floor(i / 64) + (i % 32)) + 4 * (Math.floor(i / 32) % 2), 4);

const FORMS: Readonly<Record<string, Form>> = {
  Q8_0: { elements: 32, bytes: 34, halves: [0], element: (b, i, [d]) => fround(signed8(b(16 + 8 * i, 8)) * d!) },
  Q4_0: { elements: 32, bytes: 18, halves: [0], element: (b, i, [d]) => fround((half(b, 2, i) - 8) * d!) },
  Q4_1: {
    elements: 32,
    bytes: 20,
    halves: [0, 2],
    element: (b, i, [d, m]) => fround(fround(half(b, 4, i) * d!) + m!),
  },
  Q5_0: {
    elements: 32,
    bytes: 22,
    halves: [0],
    element: (b, i, [d]) => fround((half(b, 6, i) + 16 * b(16 + i, 1) - 16) * d!),
  },
  Q5_1: {
    elements: 32,
    bytes: 24,
    halves: [0, 2],
    element: (b, i, [d, m]) => fround(fround((half(b, 8, i) + 16 * b(32 + i, 1)) * d!) + m!),
  },
  Q4_K: {
    elements: 256,
    bytes: 144,
    halves: [0, 2],
    element: (b, i, halves) => kValue(b, Math.floor(i / 32), kHalf(b, 16, i), halves),
  },
  Q5_K: {
    elements: 256,
    bytes: 176,
    halves: [0, 2],
    element: (b, i, halves) =>
      kValue(b, Math.floor(i / 32), kHalf(b, 48, i) + 16 * b(8 * (16 + (i % 32)) + Math.floor(i / 32), 1), halves),
  },
  Q6_K: {
    elements: 256,
    bytes: 210,
    halves: [208],
    element(b, i, [d]) {
      const [upper, place] = [Math.floor(i / 128), i % 128];
      const low = b(8 * (64 * upper + (place % 64)) + 4 * Math.floor(place / 64), 4);
      const high = b(8 * (128 + 32 * upper + (place % 32)) + 2 * Math.floor(place / 32), 2);
      return fround(fround(d! * signed8(b(8 * (192 + Math.floor(i / 16)), 8))) * (low + 16 * high - 32));
    },
  },
};

/** IEEE 754 binary16, by its definition. */
function float16(low: number, high: number): number {
  const [sign, exponent, fraction] = [high >> 7 === 0 ? 1 : -1, (high >> 2) & 31, ((high & 3) << 8) | low];
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

function described({ elements, bytes, halves, element }: Form, data: Uint8Array): Float32Array {
  const out: number[] = [];
  for (let at = 0; at < data.length; at += bytes) {
    const bits: Bits = (from, count) =>
      Array.from({ length: count }, (_, k) => ((data[at + ((from + k) >> 3)]! >> ((from + k) & 7)) & 1) << k).reduce(
        (a, v) => a + v,
        0,
      );
    const scales = halves.map((h) => float16(data[at + h]!, data[at + h + 1]!));
    for (let i = 0; i < elements; i++) out.push(element(bits, i, scales));
  }
  return Float32Array.from(out);
}

function sourceOf(form: string, shape: readonly number[], data: Uint8Array, asked: number[] = []): TensorSource {
  return {
    names: ["w"],
    has: (name) => name === "w",
    info: () => ({ dtype: form, shape, bytes: data.length }),
    async range(_, begin = 0, end = data.length) {
      asked.push(end - begin);
      return data.slice(begin, end);
    },
  };
}

interface Drawn {
  readonly rows: number;
  readonly data: Uint8Array;
  readonly shape: readonly [number, number];
}

/** Rows of random blocks; every bit but those of infinite scales may be set. */
const drawn = (form: Form): fc.Arbitrary<Drawn> =>
  fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 3 })).chain(([rows, blocks]) =>
    fc
      .uint8Array({ minLength: rows * blocks * form.bytes, maxLength: rows * blocks * form.bytes })
      .map((data): Drawn => {
        for (let at = 0; at < data.length; at += form.bytes)
          for (const h of form.halves) if ((data[at + h + 1]! & 0x7c) === 0x7c) data[at + h + 1]! ^= 0x40;
        return { rows, data, shape: [rows, blocks * form.elements] };
      }),
  );

const bitsOf = (x: Float32Array): Uint32Array => new Uint32Array(x.buffer, x.byteOffset, x.length);
/** Zeros of either sign are one value: products of the device may have either. */
const same = (x: ArrayLike<number>): number[] => Array.from(x, (v) => v + 0);

describe.each(Object.entries(FORMS))("%s", (name, form) => {
  const format = formats.find((f) => f.name === name) as Format;
  const target = (shape: readonly number[], transposed = false): LoadTarget => ({
    shape,
    transposed,
    allowNonFinite: false,
  });
  let devices: Device[] = [];
  beforeAll(async () => {
    devices = [await init({ device: "wasm", threads: 1 }), await init({ device: "reference" })];
  });
  afterAll(() => {
    for (const device of devices) device.close();
  });

  test.prop([drawn(form)], { numRuns: 30 })(
    "decodes to the bits that its description gives",
    async ({ data, shape }) => {
      const source = sourceOf(name, shape, data);
      expect(formatOf(source, "w")).toBe(format);
      const decoded = (await format.decode(source, "w", target(shape))).data as Float32Array;
      expect(bitsOf(decoded)).toEqual(bitsOf(described(form, data)));
    },
  );

  test.prop([drawn(form), fc.boolean()], { numRuns: 6 })(
    "has the same values on devices, turned or not, in as many bytes",
    async ({ data, shape }, transposed) => {
      const wanted = described(form, data);
      const source = sourceOf(name, shape, data);
      const inModel = transposed ? shape.toReversed() : shape;
      const host = (await format.decode(source, "w", target(inModel, transposed))).data;
      for (const device of devices) {
        const weight = await format.load(device, source, "w", target(inModel, transposed));
        expect(weight.bytes).toBe(data.length);
        const value = weight.value();
        expect(value.shape).toEqual(inModel);
        const got = await value.floats();
        expect(same(got)).toEqual(same(host));
        const [rows, cols] = shape;
        for (let r = 0; r < rows; r++)
          for (let c = 0; c < cols; c++)
            expect(got[transposed ? c * rows + r : r * cols + c]! + 0).toBe(wanted[r * cols + c]! + 0);
        weight.dispose();
      }
    },
  );

  test.prop([drawn(form), fc.infiniteStream(fc.nat())], { numRuns: 6 })(
    "gives the gathered rows",
    async ({ data, shape, rows }, ids) => {
      const wanted = described(form, data);
      const chosen = Int32Array.from({ length: 4 }, () => ids.next().value! % rows);
      for (const device of devices) {
        const weight = await format.load(device, sourceOf(name, shape, data), "w", target(shape));
        const got = await ops.embedding(weight.value(), device.tensor(chosen, [4])).floats();
        const want = [...chosen].flatMap((r) => [...wanted.subarray(r * shape[1], (r + 1) * shape[1])]);
        expect(same(got)).toEqual(same(want));
        weight.dispose();
      }
    },
  );

  it("is decoded by products while they pack, and by gathers only where they look: no weight at full width", async () => {
    const shape = [48, 2 * form.elements] as const;
    const data = Uint8Array.from({ length: 48 * 2 * form.bytes }, (_, i) => (i * 7919 + (i >> 3) * 31) & 0xbb);
    const wanted = described(form, data);
    const device = devices[0]!;
    const weight = await format.load(device, sourceOf(name, shape, data), "w", target(shape));
    const product = compile(device, ({ x: input }) => ({ y: ops.linear(input!, weight.value()) }));
    // one row has code of its own, and few have
    for (const rows of [1, 5, 20]) {
      const x = Float32Array.from({ length: rows * shape[1] }, (_, i) => Math.sin(i));
      const y = await (await product({ x: { data: x, shape: [rows, shape[1]] } })).y.floats();
      for (let i = 0; i < rows; i++)
        for (let r = 0; r < 48; r++) {
          const terms = Array.from({ length: shape[1] }, (_, c) => wanted[r * shape[1] + c]! * x[i * shape[1] + c]!);
          // f32 sums of n terms, each rounded once more: n units of 2^-24 of their magnitudes
          const bound = (shape[1] + 2) * 2 ** -24 * terms.reduce((a, t) => a + Math.abs(t), 0);
          expect(Math.abs(y[48 * i + r]! - terms.reduce((a, t) => a + t, 0))).toBeLessThanOrEqual(bound);
        }
      // a row with a single one gives a column, to the bit
      const column = Float32Array.from(x, (_, i) =>
        i % shape[1] === (37 * Math.floor(i / shape[1])) % shape[1] ? 1 : 0,
      );
      const columns = await (await product({ x: { data: column, shape: [rows, shape[1]] } })).y.floats();
      const picked = Array.from({ length: rows }, (_, i) =>
        Array.from({ length: 48 }, (_, r) => wanted[r * shape[1] + ((37 * i) % shape[1])]!),
      );
      expect(same(columns)).toEqual(same(picked.flat()));
    }
    const ids = { data: Int32Array.of(3, 1, 7), shape: [3], dtype: "i32" as const };
    const rows = compile(device, ({ ids: chosen }) => ({ y: ops.embedding(weight.value(), chosen!) }));
    expect(same(await (await rows({ ids })).y.floats())).toEqual(
      same([3, 1, 7].flatMap((r) => [...wanted.subarray(r * shape[1], (r + 1) * shape[1])])),
    );
    expect(product.info()[0]!.kernels).toBe(1);
    expect(rows.info()[0]!.kernels).toBe(1);
    expect(rows.info()[0]!.arenaBytes).toBeLessThan(wanted.byteLength / 4);
    weight.dispose();
  });

  it("is multiplied with one row by code of its own on wasm, with a bias too, to the same bits on any number of threads", async () => {
    const shape = [52, 3 * form.elements] as const;
    const data = Uint8Array.from({ length: 52 * 3 * form.bytes }, (_, i) => (i * 7919 + (i >> 3) * 31) & 0xbb);
    const wanted = described(form, data);
    const x = Float32Array.from({ length: shape[1] }, (_, i) => Math.sin(i));
    const offsets = Float32Array.from({ length: 52 }, (_, i) => i - 9.5);
    const results: number[][] = [];
    for (const threads of [1, 2]) {
      const device = await init({ device: "wasm", threads });
      for (const [outputs, own] of [
        [52, true],
        // rows are worked on by fours
        [50, false],
      ] as const) {
        const part = [outputs, shape[1]] as const;
        const bytes = data.slice(0, (data.length * outputs) / 52);
        const weight = await format.load(device, sourceOf(name, part, bytes), "w", target(part));
        const bias = device.parameter(offsets.slice(0, outputs));
        const product = compile(device, ({ row }) => ({ y: ops.linear(row!, weight.value(), bias.value) }));
        let y: Float64Array | undefined;
        const profile = await device.profile(async () => {
          y = await (await product({ row: { data: x, shape: [1, 1, shape[1]] } })).y.floats();
        });
        expect(profile.rows.some(({ label }) => label.includes("row by blocks"))).toBe(own);
        for (let r = 0; r < outputs; r++) {
          const terms = Array.from({ length: shape[1] }, (_, c) => wanted[r * shape[1] + c]! * x[c]!);
          const bound = (shape[1] + 3) * 2 ** -24 * terms.reduce((a, t) => a + Math.abs(t), Math.abs(offsets[r]!));
          expect(Math.abs(y![r]! - terms.reduce((a, t) => a + t, offsets[r]!))).toBeLessThanOrEqual(bound);
        }
        if (own) results.push([...y!]);
        weight.dispose();
      }
      device.close();
    }
    expect(results[0]).toEqual(results[1]);
  });

  it("lets gradients through to what is multiplied by it, decoded while packing there too", async () => {
    const shape = [64, 2 * form.elements] as const;
    const data = Uint8Array.from({ length: 64 * 2 * form.bytes }, (_, i) => (i * 7919 + (i >> 3) * 31) & 0xbb);
    const wanted = described(form, data);
    const device = devices[0]!;
    const weight = await format.load(device, sourceOf(name, shape, data), "w", target(shape));
    const x = device.parameter(Float32Array.from({ length: 8 * shape[1] }, Math.cos), [8, shape[1]]);
    const step = compile(device, ({ up }) => {
      const [slope] = grad(ops.sum(ops.mul(ops.linear(x.value, weight.value()), up!)), [x]);
      return { slope: slope! };
    });
    const up = { data: Float32Array.from({ length: 8 * 64 }, (_, i) => Math.sin(i)), shape: [8, 64] };
    const slope = await (await step({ up })).slope.floats();
    for (let i = 0; i < 8; i++)
      for (let c = 0; c < shape[1]; c++) {
        const terms = Array.from({ length: 64 }, (_, r) => wanted[r * shape[1] + c]! * up.data[64 * i + r]!);
        const bound = (64 + 2) * 2 ** -24 * terms.reduce((a, t) => a + Math.abs(t), 0);
        expect(Math.abs(slope[i * shape[1] + c]! - terms.reduce((a, t) => a + t, 0))).toBeLessThanOrEqual(bound);
      }
    expect(step.info()[0]!.arenaBytes).toBeLessThan(wanted.byteLength);
    weight.dispose();
  });

  it("is read a piece of at most a megabyte at a time, each byte once", async () => {
    const shape = [64, 64 * form.elements] as const;
    const data = new Uint8Array(64 * 64 * form.bytes * 8);
    const asked: number[] = [];
    const whole = [8 * shape[0], shape[1]];
    const weight = await format.load(devices[0]!, sourceOf(name, whole, data, asked), "w", target(whole));
    weight.dispose();
    expect(Math.max(...asked)).toBeLessThanOrEqual(1 << 20);
    expect(asked.reduce((a, b) => a + b, 0)).toBe(data.length);
  });

  it("refuses other shapes, other lengths and scales that are not finite", async () => {
    const shape = [2, form.elements];
    const data = new Uint8Array(2 * form.bytes);
    const load = (source: TensorSource, into: readonly number[]): Promise<unknown> =>
      format.load(devices[0]!, source, "w", target(into));
    await expect(load(sourceOf(name, shape, data), [form.elements, 2])).rejects.toThrow(
      /the file has .* the model wants/,
    );
    await expect(load(sourceOf(name, shape, data.slice(1)), shape)).rejects.toThrow(/whole blocks/);
    const infinite = data.slice();
    infinite[form.bytes + form.halves[0]! + 1] = 0x7c;
    const error = await load(sourceOf(name, shape, infinite), shape).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(LowrankError);
    expect((error as Error).message).toMatch(/the scale of .* block 1 is not finite/);
  });
});
