/** Checkpoints in four bits: one tensor at a time, files that come back, and their size. */
import { Conv1D, LayerNorm, Linear, Module } from "@lowrank/nn";
import {
  fromTensors,
  type TensorSource,
  f32ToF16,
  FormatError,
  fromBytes,
  init,
  NumericsError,
  SafetensorsFile,
  serialize,
  type StoredTensor,
} from "@lowrank/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  fourBitBytes,
  fromEntries,
  loadQuantized,
  planQuantization,
  quantize,
  quantizeCheckpoint,
  quantizeFourBit,
  quantizedConfigFile,
  readQuantizationConfig,
  selectFrom,
  sizeReport,
  skipModules,
  toEntries,
  writeQuantizedCheckpoint,
  writeQuantizedModel,
  type FourBitWeight,
} from "../src/index.ts";

class Net extends Module {
  readonly first: Linear = new Linear(70, 33);
  readonly norm: LayerNorm = new LayerNorm(33);
  readonly second: Conv1D = new Conv1D(33, 50);
  readonly head: Linear = new Linear(50, 2);
}

const random = (n: number): Float32Array => Float32Array.from({ length: n }, (_, i) => Math.sin(i * i + 1) * 0.05);

async function collect(write: (sink: (bytes: Uint8Array) => void) => Promise<unknown>): Promise<SafetensorsFile> {
  const parts: Uint8Array[] = [];
  await write((bytes) => {
    parts.push(bytes.slice());
  });
  return SafetensorsFile.open(fromBytes(new Uint8Array(Buffer.concat(parts))));
}

async function netFile(): Promise<{ net: Net; file: SafetensorsFile }> {
  const device = await init({ device: "wasm", threads: 1 });
  const net = new Net();
  await net.materialize({ device, seed: 5 });
  const file = await SafetensorsFile.open(fromBytes(serialize(await net.stateDict())));
  return { net, file };
}

describe("a checkpoint", () => {
  it("is read one tensor at a time, each when it is asked for", async () => {
    const { file } = await netFile();
    let reads = 0;
    const reader: TensorSource = {
      names: file.names,
      has: (n) => file.has(n),
      info: (n) => file.info(n),
      range: (n) => {
        reads++;
        return file.range(n);
      },
    };
    let taken = 0;
    for await (const part of quantizeCheckpoint(reader, { select: selectFrom(planQuantization(new Net())) })) {
      expect(reads).toBe(++taken);
      expect(part.quantized).toBe(/^(first|second)\.weight$/.test(part.name));
    }
    expect(taken).toBe(file.names.length);
  });

  it("written in four bits loads into a model that holds what quantizing the model gives", async () => {
    const { net, file } = await netFile();
    const small = await collect((sink) =>
      writeQuantizedCheckpoint(file, sink, { select: selectFrom(planQuantization(net)) }),
    );
    const device = await init({ device: "wasm", threads: 1 });
    const loaded = new Net();
    expect(await loadQuantized(loaded, small, device)).toEqual(["first.weight", "second.weight"]);
    await loaded.materialize({ device, values: small });
    await quantize(net);
    for (const layer of ["first", "second"] as const) {
      const [a, b] = await Promise.all([net, loaded].map((m) => (m[layer].weight.form as FourBitWeight).read()));
      expect(b).toEqual(a);
      // [in, out] again for Conv1D
      const [x, y] = await Promise.all([net, loaded].map((m) => m[layer].weight.read()));
      expect(y).toEqual(x);
    }
    expect((await loaded.head.weight.read()).data).toEqual((await net.head.weight.read()).data);
    // and saved from the model, it is the same file
    const again = await collect((sink) => writeQuantizedModel(loaded, sink));
    expect([...again.names].sort()).toEqual([...small.names].sort());
    for (const name of small.names)
      expect({ name, ...(await again.read(name)) }).toEqual({ name, ...(await small.read(name)) });
    device.close();
  });

  it("says what dtype the source had, and quantizes f16 by its values", async () => {
    const data = f32ToF16(random(640));
    const entries: StoredTensor = { dtype: "f16", shape: [10, 64], data };
    const reader = fromTensors({ w: entries });
    for await (const { entries: made } of quantizeCheckpoint(reader, { select: () => true }))
      expect(fromEntries("w", made)).toMatchObject({ sourceDType: "float16", shape: [10, 64] });
  });

  it("names the tensor and element that is not finite, and refuses what is no float or matrix", async () => {
    const one = (tensor: StoredTensor): TensorSource => fromTensors({ "h.0.weight": tensor });
    const drain = async (tensor: StoredTensor, how: true | "transposed"): Promise<void> => {
      for await (const part of quantizeCheckpoint(one(tensor), { select: () => how })) void part;
    };
    await expect(drain({ dtype: "f32", shape: [3], data: Float32Array.of(1, NaN, 2) }, true)).rejects.toThrow(
      new NumericsError("h.0.weight: element 1 is NaN; only finite weights can be quantized"),
    );
    // f64 is narrowed on the way: what is checked is what is kept
    await expect(drain({ dtype: "f64", shape: [2], data: Float64Array.of(1, 1e300) }, true)).rejects.toThrow(
      "h.0.weight: element 1 is Infinity",
    );
    await expect(drain({ dtype: "i32", shape: [2], data: Int32Array.of(1, 2) }, true)).rejects.toThrow(
      "h.0.weight is i32; only floats",
    );
    await expect(drain({ dtype: "f32", shape: [2], data: Float32Array.of(1, 2) }, "transposed")).rejects.toThrow(
      "only matrices can be transposed",
    );
  });

  it("of another shape is refused by name", async () => {
    const device = await init({ device: "wasm", threads: 1 });
    const file = await SafetensorsFile.open(
      fromBytes(serialize(toEntries("first.weight", quantizeFourBit(random(33 * 71), [33, 71])))),
    );
    await expect(loadQuantized(new Net(), file, device)).rejects.toThrow(
      "first.weight: the file has [33, 71] in four bits, the model wants [33, 70]",
    );
    device.close();
  });
});

describe("what was said and does nothing", () => {
  it("is an error: a choice that takes no tensor, a file without a weight of the model, a model without four bits", async () => {
    const device = await init({ device: "wasm", threads: 1 });
    const { net, file } = await netFile();
    await expect(writeQuantizedCheckpoint(file, () => undefined, { select: () => false })).rejects.toThrow(
      'writeQuantizedCheckpoint: "select" chose none of the 8 tensors; they are called',
    );
    await expect(
      (async () => {
        for await (const part of quantizeCheckpoint(file, { select: () => false })) void part;
      })(),
    ).rejects.toThrow("chose none of the 8 tensors");
    await expect(loadQuantized(new Net(), file, device)).rejects.toThrow(
      "loadQuantized: the file holds no weight in a quantized form",
    );
    const other = await SafetensorsFile.open(
      fromBytes(serialize(toEntries("bert.first.weight", quantizeFourBit(random(33 * 70), [33, 70])))),
    );
    await expect(loadQuantized(new Net(), other, device)).rejects.toThrow(
      "none of the file's 1 quantized weights is one of the model's: it has \"bert.first.weight\"",
    );
    expect(await loadQuantized(new Net(), other, device, { nameOf: (n) => `bert.${n}` })).toEqual(["first.weight"]);
    expect(() => quantizedConfigFile(net, {})).toThrow(
      "no weight of the model is in four or eight bits; quantize it first",
    );
    device.close();
  });

  it("is an error when a model carries adapters, whose weights nothing would read", async () => {
    class Adapted extends Linear {
      readonly lora_A: Linear[] = [new Linear(70, 2, { bias: false })];
    }
    class WithAdapter extends Module {
      readonly first: Adapted = new Adapted(70, 33);
      readonly head: Linear = new Linear(33, 2);
    }
    const device = await init({ device: "wasm", threads: 1 });
    const net = new WithAdapter();
    await net.materialize({ device });
    await quantize(net, { include: ["first"] });
    await expect(writeQuantizedModel(net, () => undefined)).rejects.toThrow(
      "writeQuantizedModel: the model carries adapters (first.lora_A.0.weight); save them with saveAdapter, or call mergeAndUnload first",
    );
    expect(() => quantizedConfigFile(net, {})).toThrow("carries adapters");
    device.close();
  });
});

describe("config.json of a quantized model", () => {
  it("has floats where Python wants floats, and the type and skip list that the weights have", async () => {
    const { net } = await netFile();
    await quantize(net, { format: "fp4", doubleQuantization: false });
    const text = quantizedConfigFile(
      net,
      { model_type: "net", id2label: { 0: "a", 1: "b" } },
      { computeDType: "bfloat16" },
    );
    expect(text).toContain('    "llm_int8_threshold": 6.0,\n');
    expect(JSON.parse(text)).toMatchObject({
      model_type: "net",
      quantization_config: {
        bnb_4bit_quant_type: "fp4",
        bnb_4bit_use_double_quant: false,
        bnb_4bit_compute_dtype: "bfloat16",
        llm_int8_skip_modules: ["head"],
        load_in_4bit: true,
      },
    });
    expect(readQuantizationConfig(JSON.parse(text) as Record<string, unknown>)).toEqual({
      format: "fp4",
      doubleQuantization: false,
      computeDType: "bfloat16",
      skip: ["head"],
    });
    await quantize(net.freeze(), { include: ["head"] });
    expect(() => quantizedConfigFile(net, {})).toThrow("some weights are fp4 and some nf4");
  });

  it("names a module that stays so that transformers takes no other along", async () => {
    class TwoStep extends Module {
      readonly pre_classifier: Linear = new Linear(70, 33);
      readonly classifier: Linear = new Linear(33, 2);
    }
    const device = await init({ device: "wasm", threads: 1 });
    const net = new TwoStep();
    await net.materialize({ device });
    await quantize(net, { include: ["pre_classifier"] });
    const skip = skipModules(net);
    // should_convert_module of transformers 5
    const skipped = (path: string): boolean =>
      skip.some((key) => new RegExp(`^(?:${key})(?:(?<=\\.)|(?=\\.|$))`).test(path) || path.endsWith(key));
    expect(["pre_classifier", "classifier", "bert.pooler"].map(skipped)).toEqual([false, true, false]);
    // an output layer that is the embedding table is no layer of ours and one of transformers'
    expect(
      skipModules(
        Object.assign(net, {
          tied: new Map([
            ["embed.weight", "cls.decoder.weight"],
            ["cls.bias", "cls.decoder.bias"],
          ]),
        }),
      ),
    ).toEqual(["classifier$", "cls.decoder"]);
    device.close();
  });
});

describe("size", () => {
  it("BERT-base's 73 projections take 44.2 MB in NF4 with quantized scales, 1 % either way", async () => {
    const square: StoredTensor = { dtype: "f32", shape: [768, 768], data: random(768 * 768) };
    const [up, down] = [
      [3072, 768],
      [768, 3072],
    ].map((shape): StoredTensor => ({ dtype: "f32", shape, data: random(768 * 3072) }));
    const tensors = new Map<string, StoredTensor>([["pooler", square]]);
    for (let layer = 0; layer < 12; layer++) {
      for (const [i, tensor] of [square, square, square, square, up!, down!].entries())
        tensors.set(`${layer}.${i}`, tensor);
    }
    expect(tensors.size).toBe(73);
    const reader = fromTensors(tensors);
    let [bytes, bare] = [0, 0];
    for await (const { name, entries } of quantizeCheckpoint(reader, { select: () => true })) {
      for (const { data } of entries.values()) bytes += data.byteLength;
      bare += fourBitBytes(tensors.get(name)!.data.length);
    }
    for (const total of [bytes, bare]) expect(Math.abs(total / 44.2e6 - 1)).toBeLessThan(0.01);
  });

  it("a report counts a weight with two names once", async () => {
    class Twice extends Module {
      readonly one: Linear = new Linear(4, 4, { bias: false });
      readonly other: Linear[] = [this.one];
    }
    const net = new Twice();
    const device = await init({ device: "wasm", threads: 1 });
    await net.materialize({ device });
    expect(sizeReport(net)).toMatchObject({ bytes: 64, weights: [{ name: "one.weight", elements: 16 }] });
    device.close();
  });

  it("a report sums what the weights take on the device", async () => {
    const { net } = await netFile();
    await quantize(net);
    const { weights, bytes, kinds } = sizeReport(net);
    expect(weights.map((w) => w.name)).toEqual([...net.namedWeights()].map(([n]) => n));
    expect(bytes).toBe(weights.reduce((s, w) => s + w.bytes, 0));
    // codes and scales, a table of 16 numbers and one of 256; the offset is among the former
    expect(weights.find((w) => w.name === "first.weight")).toEqual({
      name: "first.weight",
      kind: "nf4",
      elements: 70 * 33,
      bytes: fourBitBytes(70 * 33) + 64 + 1024,
    });
    expect(kinds.get("f32")).toMatchObject({ elements: 33 + 33 + 33 + 50 + 100 + 2, bytes: 4 * 251 });
    expect(kinds.get("nf4")!.weights).toBe(2);
  });
});

it("a scale offset that is a whole number is written as Python writes a float", () => {
  const state = toEntries("w", quantizeFourBit(new Float32Array(64), [64])).get("w.quant_state.bitsandbytes__nf4")!;
  expect(String.fromCharCode(...state.data)).toBe(
    '{"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [64], "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.0}',
  );
});

describe("files that are damaged", () => {
  const good = (): Map<string, StoredTensor> => toEntries("w", quantizeFourBit(random(64 * 10), [10, 64]));
  const withState = (json: string): Map<string, StoredTensor> =>
    good().set("w.quant_state.bitsandbytes__nf4", {
      dtype: "u8",
      shape: [json.length],
      data: Uint8Array.from(json, (c) => c.charCodeAt(0)),
    });
  const state =
    '{"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [10, 64], "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.04}';

  it("are refused with the key that is wrong", () => {
    expect(() => fromEntries("w", withState(state))).not.toThrow();
    expect(() => fromEntries("w", withState("{"))).toThrow("not valid JSON");
    expect(() => fromEntries("w", withState("3"))).toThrow("must be an object");
    expect(() => fromEntries("w", withState(state.replace('"nf4"', '"nf5"')))).toThrow(
      'w.quant_state.bitsandbytes__nf4: "quant_type" must be one of "nf4", "fp4", got "nf5"',
    );
    expect(() => fromEntries("w", withState(state.replace("64,", "48,")))).toThrow('"blocksize" must be one of 32, 64');
    expect(() => fromEntries("w", withState(state.replace("[10, 64]", "[-1]")))).toThrow(
      '"shape.0" must be a whole number of at least 0, got -1',
    );
    expect(() => fromEntries("w", withState(state.replace("256", "128")))).toThrow(
      '"nested_blocksize" must be 256, got 128',
    );
    expect(() => fromEntries("w", withState(state.replace("0.04", "null")))).toThrow(
      '"nested_offset" must be a finite number, got null',
    );
    expect(() =>
      fromEntries("w", good().set("w.absmax", { dtype: "f32", shape: [10], data: new Float32Array(10) })),
    ).toThrow("absmax is f32, quantized scales are u8");
    expect(() =>
      fromEntries("w", good().set("w.quant_map", { dtype: "f32", shape: [16], data: new Float32Array(16) })),
    ).toThrow("quant_map is not the table");
    expect(() => fromEntries("w", withState(state.replace("}", ', "zero_point": 3}')))).toThrow(
      'has an unknown key "zero_point"',
    );
    expect(() => fromEntries("w", withState(state.replace("0.04", "1e300")))).toThrow(
      "nested_offset 1e+300 does not fit f32",
    );
    expect(() => fromEntries("w", withState(state.replace(', "nested_offset": 0.04', "")))).toThrow(
      "nested_offset missing",
    );
    expect(() => fromEntries("w", withState(state.replace(', "nested_blocksize": 256', "")))).toThrow(
      "w: not a bitsandbytes four-bit weight: absmax is u8, plain scales are f32",
    );
    expect(() => fromEntries("w", withState(state + " ".repeat(5000)))).toThrow("a state is at most 4096 bytes");
    const renamed = new Map([...good()].map(([k, v]) => [k.replace("__nf4", "__fp4"), v]));
    expect(() => fromEntries("w", renamed)).toThrow('quant_state.bitsandbytes__fp4 says quant_type "nf4"');
  });

  it("with scales that are no magnitudes are refused by name, plain and nested, unless that is asked for", () => {
    const plain = (): Map<string, StoredTensor> =>
      toEntries("w", quantizeFourBit(random(64 * 10), [10, 64], { doubleQuantization: false }));
    for (const bad of [NaN, Infinity, -1]) {
      for (const [key, entries] of [
        ["absmax", plain()],
        ["nested_absmax", good()],
      ] as const) {
        const data = Float32Array.from(entries.get(`w.${key}`)!.data, Number);
        data[0] = bad;
        const damaged = entries.set(`w.${key}`, { dtype: "f32", shape: [data.length], data });
        expect(() => fromEntries("w", damaged)).toThrow(
          new FormatError(
            `w.${key}: scale 0 is ${bad}; a scale is a finite number of at least 0 (allowNonFinite takes others)`,
          ),
        );
        expect(() => fromEntries("w", damaged, { allowNonFinite: true })).not.toThrow();
      }
    }
  });

  it("never give anything but a state or a FormatError, whatever the JSON", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          fc
            .record({
              quant_type: fc.constantFrom("nf4", "fp4", 1),
              blocksize: fc.oneof(fc.constant(64), fc.jsonValue()),
              dtype: fc.constant("float32"),
              shape: fc.oneof(fc.constant([10, 64]), fc.jsonValue()),
              nested_blocksize: fc.constantFrom(256, undefined, null),
              nested_offset: fc.jsonValue(),
            })
            .map((x) => JSON.stringify(x)),
        ),
        (json) => {
          const ascii = json.replace(/[^ -~]/g, "?");
          try {
            expect(fromEntries("w", withState(ascii)).codes.length).toBe(320);
          } catch (error) {
            expect((error as { code?: string }).code).toBe("FormatError");
          }
        },
      ),
    );
  });
});
