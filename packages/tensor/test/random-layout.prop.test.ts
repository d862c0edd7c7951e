/** Random bits belong to an example's place: padding, cutting and the device leave no trace, and no two elements share any. */
import { fc, test } from "@fast-check/vitest";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { swiftShaderAvailable } from "./support/swiftshader.ts";
import {
  attentionLayout,
  compile,
  grad,
  init,
  ops,
  threefry2x32,
  type Device,
  type RandomLayout,
  type Tensor,
} from "../src/index.ts";
import type { RandomWidth } from "../src/random/threefry.ts";

const devices: Device[] = [];
let device: Device;
beforeAll(async () => {
  for (const name of ["wasm", "interpreter", "reference"] as const) devices.push(await init({ device: name }));
  if ((await swiftShaderAvailable()) === undefined) devices.push(await init({ device: "webgpu" }));
  device = devices[0]!;
});
afterAll(() => {
  for (const each of devices) each.close();
});

const SITE = 5;
async function drawn(
  shape: readonly number[],
  layout: RandomLayout | undefined,
  { bits = 32, first = 0, on = device }: { bits?: RandomWidth; first?: number; on?: Device } = {},
): Promise<number[]> {
  const key = { words: on.tensor([17, 4, first], [3], "u32"), site: SITE };
  return Array.from(await ops.randomBits(shape, key, bits, layout).data());
}

/** The elements of `x`, of shape `from`, that have the coordinates of the smaller shape `to`, from `start` on in the first dimension. */
function corner(x: readonly number[], from: readonly number[], to: readonly number[], start = 0): number[] {
  const size = to.reduce((a, b) => a * b, 1);
  return Array.from({ length: size }, (_, i) => {
    let [rest, at, step] = [i, 0, 1];
    for (let d = to.length - 1; d >= 0; d--) {
      at += ((rest % to[d]!) + (d === 0 ? start : 0)) * step;
      rest = Math.floor(rest / to[d]!);
      step *= from[d]!;
    }
    return x[at]!;
  });
}

const width = fc.constantFrom<RandomWidth>(16, 32);
const few = fc.integer({ min: 1, max: 5 });
const length = fc.integer({ min: 1, max: 40 });

describe("hidden states [batch, length, features]", () => {
  test.prop([few, length, length, fc.constantFrom(3, 16, 24), width], { numRuns: 40 })(
    "draw the same where texts stand, however long the batch is padded",
    async (batch, real, padding, features, bits) => {
      const [short, long] = [
        [batch, real, features],
        [batch, real + padding, features],
      ];
      expect(await drawn(short, undefined, { bits })).toEqual(
        corner(await drawn(long, undefined, { bits }), long, short),
      );
    },
  );

  test.prop([few, few, length, fc.constantFrom(3, 16), width, fc.nat(1e6)], { numRuns: 40 })(
    "draw the same in two batches as in one",
    async (head, tail, real, features, bits, first) => {
      const whole = await drawn([head + tail, real, features], undefined, { bits, first });
      const parts = [
        ...(await drawn([head, real, features], undefined, { bits, first })),
        ...(await drawn([tail, real, features], undefined, { bits, first: first + head })),
      ];
      expect(parts).toEqual(whole);
    },
  );
});

describe("attention weights [batch, heads, queries, keys]", () => {
  test.prop([few, few, length, length, fc.integer({ min: 1, max: 9 }), width], { numRuns: 40 })(
    "draw the same under padding, in parts of a batch and in blocks of queries",
    async (batch, heads, real, padding, cut, bits) => {
      const shape = (b: number, q: number, k: number): number[] => [b, heads, q, k];
      const long = shape(batch + 1, real + padding, real + padding);
      const whole = await drawn(long, attentionLayout(), { bits, first: 3 });
      const short = shape(batch, real, real);
      expect(await drawn(short, attentionLayout(), { bits, first: 3 })).toEqual(corner(whole, long, short));
      expect(await drawn(short, attentionLayout(), { bits, first: 4 })).toEqual(corner(whole, long, short, 1));
      const from = Math.min(cut, real);
      const block = shape(batch, real + padding - from, real);
      const later = whole.filter((_, i) => Math.floor(i / long[3]!) % long[2]! >= from);
      expect(await drawn(block, attentionLayout(from), { bits, first: 3 })).toEqual(
        corner(later, shape(batch + 1, block[2]!, long[3]!), block),
      );
    },
  );
});

describe("no element shares its bits", () => {
  // Threefry is a bijection of counters: as many words as counters, but for the chance of equal halves of 64 bits
  test.prop([few, few, fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 40 })], { numRuns: 30 })(
    "with another of its tensor, of another row or of another site",
    async (batch, heads, queries, keys) => {
      const words = device.tensor([17, 4, 2], [3], "u32");
      const all: number[] = [];
      for (const site of [0, 1, 2]) {
        const hidden = ops.randomBits([batch, queries, keys], { words, site: 2 * site });
        const weights = ops.randomBits(
          [batch, heads, queries, keys],
          { words, site: 2 * site + 1 },
          32,
          attentionLayout(),
        );
        all.push(...(await hidden.data()), ...(await weights.data()));
      }
      // n words that are drawn at random have n²/2³³ equal pairs on average; 1e-6 is the chance of three with n = 4e4 at most
      expect(all.length - new Set(all).size).toBeLessThan(4);
    },
  );

  it("and each is the word of its counter", async () => {
    const layout: RandomLayout = { row: 1, group: 0, strides: [0, 0, 64, 1], start: 128 };
    const [groups, rows, m, n] = [3, 2, 4, 20];
    const got = await drawn([groups, rows, m, n], layout, { first: 11 });
    got.forEach((word, i) => {
      const [g, r, p, q] = [
        Math.floor(i / (rows * m * n)),
        Math.floor(i / (m * n)) % rows,
        Math.floor(i / n) % m,
        i % n,
      ];
      const place = 128 + 64 * p + q;
      const counter = [4 * Math.floor(place / 8) + (place % 4), (11 + r) * groups + g] as const;
      const key = [(17 + Math.imul(SITE, 0x9e3779b9)) >>> 0, 4] as const;
      expect(word).toBe(threefry2x32(key, counter)[Math.floor(place / 4) % 2]);
    });
  });

  it.each([
    [[2, 3, 4], { strides: [0, 3, 1] }, "a stride of at least 4 is needed where it is 3"],
    [[2, 3, 4], { strides: [0, 0, 1] }, "a stride of at least 1 is needed where it is 0"],
    [[2, 40000, 1], { strides: [0, 65536, 1] }, "do not fit a row, which has 2^31"],
    [[1, 2 ** 16, 2 ** 16], {}, "do not fit a row"],
    [[2, 3], { row: 2 }, "a layout names dimensions of [2, 3]"],
    [[2, 3], { row: 0, group: 0 }, "a layout names dimensions of [2, 3]"],
    [[2, 3], { strides: [1] }, "has a stride for each"],
    [[2, 3], { row: -1 }, '"row" must be'],
    [[2, 3], { rows: 1 }, 'unknown key "rows"'],
  ] as [number[], RandomLayout, string][])("%j with %j is refused", (shape, layout, message) => {
    const key = { words: device.tensor([1, 2], [2], "u32"), site: 0 };
    expect(() => ops.randomBits(shape, key, 32, layout)).toThrow(message);
  });

  it.each([
    [[1, 2, 3, 4], "u32"],
    [[1], "u32"],
    [[1, 2], "i32"],
  ] as const)("words %j of %s are refused", (words, dtype) => {
    expect(() => ops.randomBits([2], { words: device.tensor([...words], [words.length], dtype), site: 0 })).toThrow(
      "the words of a key are u32 [2], or [3]",
    );
  });
});

describe("every device draws the same", () => {
  const layouts: [string, number[], RandomLayout | undefined][] = [
    ["hidden", [3, 10, 16], undefined],
    ["odd", [3, 5, 13], undefined],
    ["attention", [2, 3, 8, 24], attentionLayout(128)],
    ["short attention", [2, 2, 5, 7], attentionLayout()],
    ["row last", [6, 20], { row: 1 }],
    ["no row", [6, 20], { row: null }],
    ["one element a row", [9, 1], undefined],
  ];
  it.each(layouts)("%s %j", async (_, shape, layout) => {
    for (const bits of [16, 32] as const) {
      const want = await drawn(shape, layout, { bits, first: 6, on: devices[2]! });
      for (const on of devices) expect(await drawn(shape, layout, { bits, first: 6, on }), on.name).toEqual(want);
    }
  });

  // masks that are drawn in the midst of other work: behind products, under views, in gradients
  it.each(["fused", "flat", "turned"] as const)("dropout %s", async (form) => {
    const losses: number[][] = [];
    for (const on of devices) {
      const values = Float32Array.from({ length: 4 * 6 * 16 }, (_, i) => ((i * 37) % 3) - 1);
      const weight = on.parameter(
        Float32Array.from({ length: 256 }, (_, i) => (((i * 29) % 5) % 3) - 1),
        [16, 16],
        "f32",
      );
      const step = compile(on, ({ x, words }) => {
        const key = { words: words!, site: 3 };
        const y = ops.linear(x!, weight.value);
        const dropped =
          form === "turned"
            ? ops.permute(ops.dropout(ops.permute(y, [2, 0, 1]), 0.5, key, { row: 1 }), [1, 2, 0])
            : ops.dropout(y, 0.5, key);
        const z = form === "flat" ? ops.linear(dropped, weight.value) : ops.mul(ops.add(dropped, x!), 0.5);
        const loss = ops.sum(ops.square(z));
        return { loss, y: ops.mul(z, 1), g: grad(loss, [weight.value])[0]! };
      });
      const { y, g } = await step({
        x: { data: values, shape: [4, 6, 16], dtype: "f32" },
        words: { data: Uint32Array.of(9, 8, 2), shape: [3] },
      });
      // p = 1/2 scales by 2: halves of whole numbers far below 2^24, so sums are exact, and a single bit drawn otherwise shows
      losses.push([...(await y.floats()), ...(await g.floats())]);
    }
    for (const other of losses.slice(1)) expect(other).toEqual(losses[0]);
  });
});

it("a mask is the same for two examples, wherever they stand in the batch", async () => {
  const ones = (rows: number, tokens: number): Tensor => device.full([rows, tokens, 16], 1);
  const at = (first: number) => ({ words: device.tensor([1, 2, first], [3], "u32"), site: 0 });
  const whole = await ops.dropout(ones(6, 9), 0.4, at(0)).data();
  const last = await ops.dropout(ones(1, 9), 0.4, at(5)).data();
  expect(last).toEqual(whole.slice(5 * 9 * 16));
  expect(last).not.toEqual(whole.slice(0, 9 * 16));
});
