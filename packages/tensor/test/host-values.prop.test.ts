/** Values from the host: converted or refused, never taken for something else, and never written beyond their tensor. */
import { fc, it as prop } from "@fast-check/vitest";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  bf16ToF32,
  compile,
  DTypeError,
  f16ToF32,
  f32ToF16,
  init,
  ops,
  ShapeError,
  type Device,
  type DType,
  type HostTensor,
  type TypedArray,
} from "../src/index.ts";
import { swiftShaderAvailable } from "./support/swiftshader.ts";

const ARRAYS = [
  Float64Array,
  Float32Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Uint8Array,
  Int8Array,
  Int16Array,
  Uint8ClampedArray,
  BigInt64Array,
  BigUint64Array,
] as const;
const DTYPES: readonly DType[] = ["f32", "f16", "bf16", "i32", "u32", "u8", "bool"];
const RANGES: Partial<Record<DType, readonly [number, number]>> = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
  u8: [0, 255],
};

/** What must come out, or undefined where the data is to be refused. Half-precision arrays are bits. */
function expected(data: ArrayLike<number | bigint>, dtype: DType): number[] | undefined {
  if (data instanceof Uint16Array)
    return dtype === "f16" ? [...f16ToF32(data)] : dtype === "bf16" ? [...bf16ToF32(data)] : undefined;
  const numbers = Array.from(data, Number);
  if (dtype === "bool") return numbers.map((v) => (v === 0 ? 0 : 1));
  const range = RANGES[dtype];
  if (range === undefined) return numbers.map((v) => (dtype === "f32" ? Math.fround(v) : v));
  return numbers.every((v) => Number.isInteger(v) && v >= range[0] && v <= range[1]) ? numbers : undefined;
}

/** Whole and small, or anything: each type keeps what it can. */
const arrays: fc.Arbitrary<ArrayLike<number>> = fc
  .tuple(
    fc.constantFrom(...ARRAYS, Array),
    fc.array(
      fc.oneof(
        fc.integer({ min: 0, max: 200 }),
        fc.integer({ min: -300, max: 70000 }),
        fc.double({ noNaN: true, min: -1e6, max: 1e6 }),
      ),
      { minLength: 1, maxLength: 5 },
    ),
  )
  .map(
    ([type, values]) =>
      (type === Array
        ? values
        : type === BigInt64Array || type === BigUint64Array
          ? type.from(values.map((v) => BigInt(Math.trunc(Math.abs(v)))))
          : (type as Float64ArrayConstructor).from(values)) as unknown as ArrayLike<number>,
  );

const near = (got: Float64Array, want: number[], dtype: DType): void => {
  expect(got.length).toBe(want.length);
  const step = dtype === "f16" ? 2 ** -11 : dtype === "bf16" ? 2 ** -8 : 0;
  want.forEach((v, i) => {
    if (Object.is(got[i], v) || (dtype === "f16" && Math.abs(v) > 65504 && Math.abs(got[i]!) >= 65504)) return;
    expect(Math.abs(got[i]! - v)).toBeLessThanOrEqual(step * Math.abs(v) + (step > 0 ? 2 ** -24 : 0));
  });
};

const devices = new Map<string, Device>();
beforeAll(async () => {
  for (const name of ["wasm", "interpreter", "reference"] as const)
    devices.set(name, await init({ device: name, threads: 1 }));
  if ((await swiftShaderAvailable()) === undefined) devices.set("webgpu", await init({ device: "webgpu" }));
});
afterAll(() => {
  for (const device of devices.values()) device.close();
});

describe.each(["wasm", "interpreter", "reference", "webgpu"])("host values on %s", (name) => {
  prop.prop([arrays, fc.constantFrom(...DTYPES)], { numRuns: name === "webgpu" ? 40 : 150 })(
    "are converted or refused, and leave their neighbours alone",
    async (data, dtype) => {
      const device = devices.get(name);
      if (device === undefined) return;
      const want = expected(data, dtype);
      const shape = [data.length];
      const [before, target, after] = [[7, 7, 7], data, [7, 7, 7]].map((values, i) =>
        i === 1 ? device.parameter(new Float64Array(data.length), shape, dtype) : device.parameter(values as number[]),
      );
      const pass = compile(device, ({ x }) => {
        target!.assign(x!);
        return { x: ops.cast(x!, dtype) };
      });
      const ways: [string, () => unknown, () => Promise<Float64Array>][] = [
        [
          "write",
          () => {
            target!.write(data);
          },
          () => target!.value.floats(),
        ],
        ["tensor", () => device.tensor(data, shape, dtype), () => device.tensor(data, shape, dtype).floats()],
        [
          "parameter",
          () => {
            device.parameter(data, shape, dtype).dispose();
          },
          () => device.parameter(data, shape, dtype).value.floats(),
        ],
        [
          "live",
          () =>
            ops
              .cast(
                device.live(shape, dtype, () => data),
                "f32",
              )
              .data(),
          () =>
            ops
              .mul(
                ops.cast(
                  device.live(shape, dtype, () => data),
                  "f32",
                ),
                1,
              )
              .floats(),
        ],
        [
          "input",
          () => pass({ x: { data, shape, dtype } }),
          async () => (await pass({ x: { data, shape, dtype } })).x.floats(),
        ],
      ];
      for (const [way, take, read] of ways) {
        if (want === undefined) await expect((async () => take())(), way).rejects.toBeInstanceOf(DTypeError);
        else {
          await take();
          near(await read(), want, dtype);
        }
      }
      if (want !== undefined) near(await target!.value.floats(), want, dtype);
      expect([[...(await before!.value.floats())], [...(await after!.value.floats())]]).toEqual([
        [7, 7, 7],
        [7, 7, 7],
      ]);
      for (const p of [before, target, after]) p!.dispose();
    },
  );

  it("says what is wrong, and with which input", async () => {
    const device = devices.get(name);
    if (device === undefined) return;
    const f = compile(device, ({ ids }) => ({ y: ids! }));
    const given = (x: unknown) => f({ ids: x as HostTensor });
    await expect(given({ data: Int32Array.of(1, 2, 3), shape: [2] })).rejects.toThrow(
      'compiled input "ids": 3 values do not fill [2]',
    );
    await expect(given({ data: Uint16Array.of(1), shape: [1] })).rejects.toThrow(
      'compiled input "ids": a Uint16Array holds f16 bits, bf16 bits or numbers; say which',
    );
    await expect(given({ data: [1.5], shape: [1], dtype: "i32" })).rejects.toThrow(
      'compiled input "ids": 1.5 at element 0 is no i32, which holds whole numbers from -2147483648 to 2147483647',
    );
    await expect(given({ data: Float32Array.of(1), shape: [1], dtype: "float32" })).rejects.toThrow(
      'compiled input "ids": there is no dtype "float32"; use f64, f32',
    );
    await expect(given(Float32Array.of(1))).rejects.toThrow(
      'compiled input "ids": give { data, shape, dtype? }, got a Float32Array',
    );
    await expect(given({ data: "12", shape: [2] })).rejects.toThrow(
      'compiled input "ids": values must be a typed array or a list of numbers, got "12"',
    );
    expect(() => device.tensor(Uint16Array.of(0x3c00))).toThrow(DTypeError);
    expect(() => device.parameter(Uint16Array.of(0x3c00))).toThrow(DTypeError);
    expect(() => device.tensor([1, 300], [2], "u8")).toThrow(
      "tensor: 300 at element 1 is no u8, which holds whole numbers from 0 to 255; use a float dtype or round it first",
    );
    expect(() => device.tensor([1, NaN], [2], "i32")).toThrow("tensor: NaN at element 1 is no i32");
    expect(() => device.tensor([1, "2"] as unknown as number[])).toThrow('tensor: element 1 is "2", not a number');
    expect(() => device.tensor(new BigInt64Array([2n ** 40n]), [1], "i32")).toThrow(
      "tensor: 1099511627776 at element 0 is no i32",
    );
    expect(() =>
      device.tensor([
        [1, 2],
        [3, [4]],
      ] as never),
    ).toThrow("tensor: rows have different lengths");
    for (const shape of [[-1], [1.5], [NaN], [Infinity], ["1"], [2 ** 40]]) {
      expect(() => device.tensor([1], shape as number[]), String(shape)).toThrow(ShapeError);
      expect(() => device.zeros(shape as number[]), String(shape)).toThrow(ShapeError);
      expect(() => device.live(shape as number[], "f32", () => [1]), String(shape)).toThrow(ShapeError);
    }
    if (name !== "reference")
      expect(() => device.tensor([1], [1], "f64")).toThrow(`tensor: the ${name} device has no f64; use f32`);
    expect(() => device.parameter([1, 2]).write([1])).toThrow("write: parameter [2]: 1 values do not fill [2]");
  });

  it("takes half-precision bits under either name", async () => {
    const device = devices.get(name);
    if (device === undefined) return;
    const bits = f32ToF16(Float32Array.of(1.5, -2));
    const halves: [TypedArray, DType][] = [
      [bits, "f16"],
      [Uint16Array.of(0x3fc0, 0xc000), "bf16"],
    ];
    for (const [data, dtype] of halves)
      expect([...(await device.tensor(data, [2], dtype).floats())]).toEqual([1.5, -2]);
    expect([...(await device.parameter(bits, [2], "bf16", "f16").value.floats())]).toEqual([1.5, -2]);
  });
});

it("a disposed parameter is neither read nor written, and nothing pending comes back", async () => {
  const device = devices.get("wasm")!;
  const p = device.parameter([1, 2]);
  const before = ops.add(p.value, 1);
  p.assign(ops.add(p.value, 5));
  p.dispose();
  p.dispose();
  const neighbour = device.parameter([3, 4]);
  for (const use of [
    () => p.value,
    () => {
      p.write([1, 2]);
    },
    () => {
      p.assign(device.tensor([1, 2]));
    },
  ])
    expect(use).toThrow(expect.objectContaining({ code: "DisposedError" }));
  await expect(before.data()).rejects.toThrow("was disposed before it was read");
  await device.realize();
  expect([...(await neighbour.value.floats())]).toEqual([3, 4]);
});
