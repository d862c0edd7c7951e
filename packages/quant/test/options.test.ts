/** Options of every public function: unknown keys, wrong kinds, names that match nothing, and values that contradict each other. */
import { Embedding, Linear, Module } from "@lowrank/nn";
import { fromTensors, f32ToF16, NumericsError, type StoredTensor } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";
import {
  dequantizeBlocks,
  dequantizeRows,
  fourBit,
  fourBitBytes,
  loftq,
  pissa,
  planQuantization,
  quantizeBlocks,
  quantizeCheckpoint,
  quantizedPissa,
  quantizeFourBit,
  quantizeRows,
  quantizationConfig,
  toEntries,
  unnestScales,
  type QuantizeOptions,
} from "../src/index.ts";

class Toy extends Module {
  readonly table: Embedding = new Embedding(20, 64);
  readonly query: Linear = new Linear(64, 64);
  readonly value: Linear = new Linear(64, 64);
  readonly head: Linear = new Linear(64, 2);
}

const x = new Float32Array(64 * 64).fill(0.5);
const square = [64, 64] as const;
const reader = fromTensors({});

/** Each function with some options that are right for it. */
const FUNCTIONS: Readonly<Record<string, (options: object) => unknown>> = {
  quantize: (o) => planQuantization(new Toy(), o),
  fourBit: (o) => fourBit(o),
  quantizeFourBit: (o) => quantizeFourBit(x, square, o),
  fourBitBytes: (o) => fourBitBytes(64, o),
  loftq: (o) => loftq(x, square, { rank: 2, ...o }),
  pissa: (o) => pissa(x, square, { rank: 2, scale: 1, ...o }),
  quantizedPissa: (o) => quantizedPissa(x, square, { rank: 2, scale: 1, ...o }),
  quantizationConfig: (o) => quantizationConfig(o),
  quantizeCheckpoint: (o) => quantizeCheckpoint(reader, { select: () => true, ...o }).next(),
};

describe.each(Object.entries(FUNCTIONS))("%s", (name, call) => {
  it("refuses keys that it does not know, as its own error", async () => {
    await expect((async () => call({ nonsense: 1 }))()).rejects.toMatchObject({
      code: "ConfigError",
      message: expect.stringContaining(`${name}: has an unknown key "nonsense"`) as string,
    });
  });
});

it.each([
  ["quantize", { bnb_4bit_quant_type: "nf4" }, 'did you mean "format"'],
  ["quantize", { doubleQuantisation: true }, 'did you mean "doubleQuantization"'],
  ["quantize", { llm_int8_skip_modules: ["head"] }, 'did you mean "exclude"'],
  ["quantize", { format: "int4" }, '"format" must be one of "nf4", "fp4", "int8", got "int4"'],
  ["quantize", { include: "query" }, '"include" must be a list'],
  ["quantize", { include: [3] }, '"include.0" must be'],
  ["quantize", { blockSize: "64" }, '"blockSize" must be one of 32, 64, 128'],
  ["quantize", { embeddings: "f8" }, '"embeddings" must be one of'],
  ["quantize", { on: "gpu" }, '"on" must be one of "host", "device"'],
  ["fourBit", { blockSize: 48 }, '"blockSize" must be one of 32, 64'],
  ["quantizeFourBit", { doubleQuantization: "true" }, '"doubleQuantization" must be true or false, got "true"'],
  ["quantizeFourBit", { quant_type: "nf4" }, 'did you mean "type"'],
  ["loftq", { rank: 0 }, '"rank" must be a positive whole number'],
  ["loftq", { rank: 1_000_000 }, '"rank" is 1000000, and a matrix of [64, 64] has at most 64'],
  ["loftq", { iterations: 1.5 }, '"iterations" must be a positive whole number'],
  ["loftq", { loftq_iter: 2 }, 'did you mean "iterations"'],
  ["loftq", { doubleQuantization: true }, "unknown key"],
  ["pissa", { scale: NaN }, '"scale" must be a number above 0'],
  ["pissa", { r: 4 }, 'did you mean "rank"'],
  ["quantizedPissa", { rank: 65 }, "has at most 64"],
  ["quantizationConfig", { computeDType: "f16" }, '"computeDType" must be one of "float32", "float16", "bfloat16"'],
  ["quantizationConfig", { skip: "lm_head" }, '"skip" must be a list'],
])("%s of %j is refused", (name, options, telling) => {
  expect(() => FUNCTIONS[name]!(options)).toThrow(telling);
});

describe("names in a plan", () => {
  const plan = (options: QuantizeOptions): string[] => [...planQuantization(new Toy(), options).modules.keys()];

  it("must each match something, with near matches told", () => {
    expect(() => plan({ include: ["query", "vlaue"] })).toThrow(
      'quantize: "include" has "vlaue", which matches no projection of the model; did you mean "value"?',
    );
    expect(() => plan({ exclude: ["haed"] })).toThrow(
      '"exclude" has "haed", which matches no projection of the model; did you mean "head"?',
    );
    expect(() => plan({ exclude: [/lm_head/] })).toThrow('"exclude" has /lm_head/, which matches no projection');
    expect(plan({ include: [/a/g, "query"] })).toEqual(["query", "value", "head"]);
  });

  it("say so where what they match cannot be quantized", () => {
    const model = new Toy().freeze().unfreeze("head");
    expect(() => planQuantization(model, { include: ["head"] })).toThrow(
      '"include" has "head", which matches only what cannot be quantized: head shares its weight with an embedding table, or trains',
    );
  });

  it("contradict nothing: int8 takes no block size, no scales of scales, no device; embeddings need a table", () => {
    for (const [key, value] of [
      ["blockSize", 64],
      ["doubleQuantization", true],
      ["on", "device"],
    ] as const)
      expect(() => plan({ format: "int8", [key]: value })).toThrow(
        `quantize: "${key}" is ${typeof value === "string" ? '"device"' : value}, and int8 has no such choice; leave it out, or take format "nf4" or "fp4"`,
      );
    expect(plan({ format: "int8", doubleQuantization: false })).toEqual(["query", "value"]);
    class NoTable extends Module {
      readonly a: Linear = new Linear(64, 64);
      readonly b: Linear = new Linear(64, 2);
    }
    expect(() => planQuantization(new NoTable(), { embeddings: "f16" })).toThrow("the model has no embedding table");
  });
});

describe("values", () => {
  it("have the shape that is said", () => {
    expect(() => quantizeFourBit(x, [64, 65], {}, "w")).toThrow(
      "quantizeFourBit: w has 4096 values and the shape [64, 65]",
    );
    expect(() => loftq(x, [64, 65], { rank: 2 })).toThrow("4096 values are no matrix of shape [64, 65]");
    expect(() => pissa(x, [4096] as never, { rank: 2, scale: 1 })).toThrow("are no matrix");
    const blocks = quantizeBlocks(x, "nf4");
    expect(() => dequantizeBlocks(blocks, "nf4", x.length + 2)).toThrow(
      "dequantizeBlocks: 4098 elements in blocks of 64 are 2049 bytes of codes and 65 scales, not 2048 and 64",
    );
    expect(() => dequantizeBlocks(blocks, "nf4", x.length, 128)).toThrow("32 scales, not 2048 and 64");
    expect(() => unnestScales({ codes: new Uint8Array(300), absmax: new Float32Array(1), offset: 0 })).toThrow(
      "300 scales need 2 scales of their own, not 1",
    );
    expect(() => toEntries("w", { ...quantizeFourBit(x, square), shape: [64, 65] })).toThrow(
      "toEntries: w: 4160 elements",
    );
    expect(() => quantizeRows(x, 64, 65, "w")).toThrow("w: 4096 values are no matrix of [64, 65]");
    expect(() => dequantizeRows({ codes: new Int8Array(6), absmax: new Float32Array(2) }, 4)).toThrow(
      "6 codes are not 2 rows of 4",
    );
    expect(() => quantizeBlocks(x, "nf5" as never)).toThrow('type "nf5" is neither nf4 nor fp4');
  });

  it("are finite, or named", () => {
    const bad = x.with(3, NaN);
    for (const call of [
      () => pissa(bad, square, { rank: 2, scale: 1 }, "q"),
      () => quantizedPissa(bad, square, { rank: 2, scale: 1 }, "q"),
      () => loftq(bad, square, { rank: 2 }, "q"),
    ])
      expect(call).toThrow(/^q: element 3 is NaN/);
  });

  it("are checked as they decode: a scale that half precision held and its quantized form does not", async () => {
    // a scale at the end of f16 that lies 0.986 of the way to the widest one from the mean: the nearest code is 0.993
    const values = Float32Array.from(
      { length: 64 * 256 },
      (_, i) => ({ 7: 65504, 8: 14160 })[Math.floor(i / 64)] ?? 40000,
    );
    const half: StoredTensor = { dtype: "f16", shape: [256, 64], data: f32ToF16(values) };
    const file = fromTensors({ w: half });
    const drain = async (doubleQuantization: boolean): Promise<void> => {
      for await (const part of quantizeCheckpoint(file, { select: () => true, doubleQuantization })) void part;
    };
    await expect(drain(true)).rejects.toThrow(NumericsError);
    await expect(drain(true)).rejects.toThrow(
      /^w: the scale of block \d+ decodes to \d+(\.\d+)?, and float16 ends at 65504; quantize without doubleQuantization/,
    );
    await drain(false);
  });
});
