/** What an op cannot do is refused when it is built, by name: nothing outside a tensor is read, no number is changed on the way in. */
import { fc, test } from "@fast-check/vitest";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Heap } from "../src/backends/wasm/heap.ts";
import { compile, grad, init, LowrankError, ops, type Device, type DType, type Tensor } from "../src/index.ts";

let device: Device;
let other: Device;
let reference: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  other = await init({ device: "wasm", threads: 1 });
  reference = await init({ device: "reference" });
});
afterAll(() => {
  device.close();
  other.close();
});

const none = undefined as never;
const of = (dtype: DType, ...values: number[]): Tensor => device.tensor(values, [values.length], dtype);

function thrown(body: () => unknown): LowrankError {
  try {
    body();
  } catch (error) {
    expect(error).toBeInstanceOf(LowrankError);
    return error as LowrankError;
  }
  throw new Error("nothing was refused");
}

describe("sizes and positions that are no whole numbers", () => {
  it.each<[string, (x: Tensor) => unknown, string]>([
    ["a forgotten end", (x) => x.slice(0, 1, none), "slice: start and end must be whole numbers, got 1 and undefined"],
    ["an end that is NaN", (x) => ops.slice(x, 0, 0, NaN), "slice: start and end must be whole numbers, got 0 and NaN"],
    [
      "a start between two",
      (x) => ops.slice(x, 0, 0.5, 2),
      "slice: start and end must be whole numbers, got 0.5 and 2",
    ],
    ["a step between two", (x) => ops.slice(x, 0, 0, 2, 0.5), "slice: step must be"],
    ["a width that is NaN", (x) => x.pad([[NaN, 0]]), "pad: amounts must be whole numbers"],
    ["half a width", (x) => ops.pad(x, [[0.5, 0.5]]), "pad: amounts must be whole numbers"],
    ["half a pair", (x) => ops.pad(x, [[1]] as never), "pad: amounts must be whole numbers"],
    ["half a size", (x) => ops.expand(x.slice(0, 0, 1), [1.5]), "expand: size 0 of shape [1.5] must be a whole number"],
    [
      "a negative size",
      (x) => ops.expand(x.slice(0, 0, 1), [-1]),
      "expand: size 0 of shape [-1] must be a whole number",
    ],
    ["a shape of NaN", (x) => x.reshape([NaN]), "reshape: [3] has 3 elements"],
    ["a dimension between two", (x) => x.permute([0.5]), "permute: dimension 0.5 does not exist"],
    ["a coordinate of no dimension", (x) => ops.iota(x, 3), "iota: dimension 3 does not exist"],
    [
      "random bits of half a size",
      () => ops.randomBits([1.5], { words: of("u32", 1, 2), site: 0 }),
      "randomBits: size 0 of shape [1.5] must be",
    ],
  ])("%s", async (_, build, message) => {
    const error = thrown(() => build(device.tensor([1, 2, 3])));
    expect([error.code, error.message]).toEqual(["ShapeError", expect.stringContaining(message)]);
    expect(
      await device
        .tensor([2])
        .add(device.tensor([3]))
        .item(),
    ).toBe(5);
  });

  it("are no sizes of memory either", () => {
    const heap = new Heap(false);
    const at = heap.alloc(64);
    for (const bytes of [NaN, -64, 0.5, Infinity]) expect(thrown(() => heap.alloc(bytes)).code).toBe("InvariantError");
    expect(heap.alloc(64)).toBe(at + 64);
  });
});

describe("slice", () => {
  const positions = (size: number, start: number, end: number, step: number): number[] => {
    const out: number[] = [];
    for (let i = start; step > 0 ? i < Math.min(end, size) : i > end; i += step) out.push(i);
    return out;
  };
  test.prop(
    [
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: -8, max: 8 }),
      fc.integer({ min: -8, max: 8 }),
      fc.constantFrom(-3, -2, -1, 1, 2, 3),
    ],
    { numRuns: 150 },
  )("has the elements that a loop over the positions has, or is refused", async (size, start, end, step) => {
    const from = start < 0 ? start + size : start;
    const to = step > 0 && end < 0 ? end + size : end;
    const wanted = positions(size, from, to, step);
    const refused = (step < 0 && end < -1) || (wanted.length > 0 && (from < 0 || from >= size));
    for (const on of [device, reference]) {
      const x = on.tensor(Array.from({ length: size }, (_, i) => 10 + i));
      if (refused) {
        expect(thrown(() => ops.slice(x, 0, start, end, step)).code).toBe("ShapeError");
        continue;
      }
      const y = ops.slice(x, 0, start, end, step);
      expect(y.shape).toEqual([wanted.length]);
      expect([...(await y.floats())]).toEqual(wanted.map((i) => 10 + i));
      if (wanted.length > 0)
        expect([...(await grad(ops.sum(y), [x])[0]!.floats())]).toEqual(
          Array.from({ length: size }, (_, i) => Number(wanted.includes(i))),
        );
    }
  });

  it("does not run past the first element", () => {
    expect(() => ops.slice(of("f32", 1, 2, 3, 4), 0, 3, -5, -1)).toThrow(
      "slice: with a negative step end is −1 (past the first) or a position, got -5",
    );
  });
});

describe("tensors of two devices", () => {
  it.each<[string, (x: Tensor, y: Tensor) => unknown]>([
    ["add", (x, y) => ops.add(x, y)],
    ["where", (x, y) => ops.where(ops.gt(x, 0), x, y)],
    ["matmul", (x, y) => ops.matmul(x, y)],
    ["concat", (x, y) => ops.concat([x, y])],
    ["embedding", (x, y) => ops.embedding(x, ops.cast(y, "i32"))],
    ["dropout", (x, y) => ops.dropout(x, 0.5, { words: ops.cast(y, "u32"), site: 0 })],
    [
      "assign",
      (x, y) => {
        device.parameter([1, 2]).assign(y);
        return x;
      },
    ],
  ])("%s", (_, build) => {
    for (const [on, names] of [
      [other, "wasm and wasm"],
      [reference, "wasm and reference"],
    ] as const) {
      const error = thrown(() => build(device.tensor([1, 2]), on.tensor([1, 2], [2], "f32")));
      expect([error.code, error.kind]).toEqual(["DeviceError", "environment"]);
      expect(error.message.replace("reference and wasm", "wasm and reference")).toContain(
        `operands live on different devices (${names})`,
      );
    }
    expect(device.pending.size).toBe(0);
  });

  it("one's values are not run or read on the other", async () => {
    const [stored, lazy] = [other.parameter([7, 8]).value, other.tensor([7, 8]).add(1)];
    for (const x of [stored, lazy]) {
      await expect(device.realize(x)).rejects.toMatchObject({ code: "DeviceError" });
      await expect(device.read(x)).rejects.toThrow("realize: operands live on different devices (wasm and wasm)");
    }
    expect([...(await lazy.floats())]).toEqual([8, 9]);
  });

  it("a compiled function of one does not assign, write or call the other's", async () => {
    const count = other.parameter([0]);
    const assigning = compile(device, () => {
      count.assign(count.value.add(1));
      return { y: device.tensor([1]).add(1) };
    });
    await expect(assigning({})).rejects.toMatchObject({
      code: "DeviceError",
      message: expect.stringContaining(
        "assign in a compiled function: operands live on different devices (wasm and wasm)",
      ) as string,
    });
    await expect(
      compile(device, () => {
        count.write([5]);
        return {};
      })({}),
    ).rejects.toMatchObject({ code: "CompileError" });
    expect(other.pending.size).toBe(0);
    expect([...(await count.data())]).toEqual([0]);
  });
});

describe("numbers beside tensors", () => {
  it.each<[string, () => unknown, string]>([
    ["eq", () => ops.eq(of("i32", 0), 0.5), "0.5 is no i32"],
    ["lt", () => ops.lt(of("u8", 1), -1), "-1 is no u8"],
    ["lt", () => ops.lt(of("i32", 1), 1.5), "1.5 is no i32"],
    ["gt", () => ops.gt(of("u8", 200), 256), "256 is no u8"],
    ["add", () => ops.add(0.5, of("i32", 1)), "0.5 is no i32"],
    ["mul", () => ops.mul(of("u32", 1), NaN), "NaN is no u32"],
    ["eq", () => ops.eq(of("bool", 1), 2), "2 is no bool"],
    ["where", () => ops.where(of("bool", 1), of("i32", 1), 0.5), "0.5 is no i32"],
    ["where", () => ops.where(of("bool", 1), 2 ** 31, of("i32", 1)), "2147483648 is no i32"],
    ["pad", () => ops.pad(of("u8", 1), [[1, 0]], 300), "300 is no u8"],
  ])("%s: a number that the dtype does not hold", (name, build, what) => {
    const error = thrown(build);
    expect([error.code, error.message]).toEqual([
      "DTypeError",
      expect.stringMatching(new RegExp(`^${name}: ${what}, .*; cast the tensor first$`)),
    ]);
  });

  it("full has the rule of tensor", () => {
    expect(() => device.full([1], 300, "u8")).toThrow("full: 300 at element 0 is no u8");
    expect(() => device.full([1], "1" as never)).toThrow(
      'full: values must be a typed array or a list of numbers, got "1"',
    );
  });

  it("whole numbers in range stay, and floats take all", async () => {
    expect([...(await ops.add(of("u8", 1, 2), 253).floats())]).toEqual([254, 255]);
    expect([...(await ops.eq(of("bool", 1, 0), 1).floats())]).toEqual([1, 0]);
    expect([...(await ops.maximum(of("f16", 1, 2), -Infinity).floats())]).toEqual([1, 2]);
    expect([...(await ops.where(of("bool", 1, 0), 0.5, 1).floats())]).toEqual([0.5, 1]);
  });

  it.each<[string, () => unknown, string]>([
    ["a string", () => device.tensor([1]).add("1" as never), 'add: takes tensors and numbers, got "1"'],
    ["nothing", () => device.tensor([1]).add(none), "add: takes tensors and numbers, got undefined"],
    ["null on the left", () => ops.add(null as never, device.tensor([1])), "add: takes tensors and numbers, got null"],
    ["null beside a number", () => ops.gt(2, null as never), "gt: takes tensors and numbers, got null"],
    ["two numbers", () => ops.ge(1, 2), "ge: at least one operand must be a tensor"],
    ["a list", () => device.tensor([1]).mul([1, 2, 3] as never), "mul: takes tensors and numbers, got [1,2,3]"],
    ["a list beside a number", () => ops.mul([1] as never, 2), "mul: takes tensors and numbers, got [1]"],
    [
      "a branch that is none",
      () => ops.where(of("bool", 1), null as never, 1),
      "where: takes tensors and numbers, got null",
    ],
    [
      "an unknown dtype",
      () => device.tensor([1]).cast("float" as never),
      'cast: there is no dtype "float"; use f64, f32',
    ],
  ])("%s", (_, build, message) => {
    const error = thrown(build);
    expect([error.code, error.message]).toEqual(["DTypeError", expect.stringContaining(message)]);
  });
});
