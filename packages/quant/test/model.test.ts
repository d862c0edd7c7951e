/** Quantized weights in models and products, and their files. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Conv1D, Embedding, Linear, Module } from "@lowrank/nn";
import {
  compile,
  fromBytes,
  grad,
  init,
  ops,
  SafetensorsFile,
  serialize,
  type Device,
  type StoredTensor,
  type Tensor,
} from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  codesPerBlock,
  dequantizeBlocks,
  dequantizeRows,
  fourBit,
  FourBitWeight,
  fromEntries,
  planQuantization,
  quantize,
  quantizedModules,
  quantizeFourBit,
  quantizeRows,
  toEntries,
  unnestScales,
} from "../src/index.ts";

class Toy extends Module {
  readonly table: Embedding = new Embedding(20, 128);
  readonly first: Linear = new Linear(128, 192);
  readonly second: Conv1D = new Conv1D(192, 128);
  readonly head: Linear = new Linear(128, 2);

  forward(ids: Tensor): Tensor {
    return this.head.forward(this.second.forward(ops.gelu(this.first.forward(this.table.forward(ids)))));
  }
}

const folder = join(
  process.env["LOWRANK_FIXTURES"] ?? join(import.meta.dirname, "../../../../shared/fixtures"),
  "peft",
);
const random = (n: number): Float32Array => Float32Array.from({ length: n }, (_, i) => Math.sin(i * i + 1) * 0.05);

describe.each(["wasm", "reference"] as const)("on %s", (name) => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: name, threads: 1 });
  });
  afterAll(() => device.close());

  it("stands for exactly what the host decodes", async () => {
    const [rows, cols] = [48, 100];
    const x = random(rows * cols);
    for (const doubleQuantization of [false, true]) {
      for (const type of ["nf4", "fp4"] as const) {
        const state = quantizeFourBit(x, [rows, cols], { type, doubleQuantization });
        const want = dequantizeBlocks(
          {
            codes: state.codes,
            absmax: state.scales instanceof Float32Array ? state.scales : unnestScales(state.scales),
          },
          type,
          x.length,
          64,
        );
        const got = await device.readFloats(new FourBitWeight(device, state).value());
        // on wasm the same f32 operations; f64 on reference, where three roundings are missing
        got.forEach((v, i) =>
          expect(Math.abs(v - want[i]!)).toBeLessThanOrEqual(
            name === "wasm" ? 0 : 4 * 2 ** -24 * Math.abs(want[i]!) + 2 ** -24 * 0.05,
          ),
        );
      }
    }
  });

  it("Q11: products and input gradients are those of the decoded matrix, bit for bit", async () => {
    const [rows, cols, batch] = [96, 64, 40];
    const form = fourBit().keep(device, "w", [rows, cols], random(rows * cols));
    const decoded = device.parameter(await device.readFloats(form.value()), [rows, cols], device.defaultFloat);
    const x = device.parameter(
      random(batch * cols).map((v) => v * 7),
      [batch, cols],
      device.defaultFloat,
    );
    const run = async (w: Tensor): Promise<number[][]> => {
      const y = ops.linear(x.value, w);
      const [dx] = grad(ops.sum(ops.square(y)), [x]);
      return [[...(await device.readFloats(y))], [...(await device.readFloats(dx!))]];
    };
    expect(await run(form.value())).toEqual(await run(decoded.value));
  });

  it("quantizes what transformers would, [in, out] weights along their input, and computes what the decoded model computes", async () => {
    const [plain, quantized] = [new Toy(), new Toy()];
    await plain.materialize({ device, seed: 4 });
    await quantized.materialize({ device, seed: 4 });
    const report = await quantize(quantized);
    expect(report.map((m) => m.path)).toEqual(["first", "second"]);
    expect(report).toEqual(quantizedModules(quantized));
    expect(await codesPerBlock(quantized.first.weight.form as FourBitWeight)).toMatchObject({
      most: expect.toSatisfy((n: number) => n <= 16 && n > 4) as number,
    });
    const streamed = new Toy();
    await streamed.materialize({ device, seed: 4, storage: planQuantization(streamed).storage });
    const ids = device.tensor(Int32Array.of(1, 5, 7, 19), [4]);
    const [a, b, c] = await Promise.all([plain, quantized, streamed].map((m) => device.readFloats(m.forward(ids))));
    expect([...c!]).toEqual([...b!]);
    const far = Math.max(...a!.map((v, i) => Math.abs(v - b![i]!)));
    expect(far).toBeGreaterThan(0);
    expect(far).toBeLessThan(Math.max(...a!.map(Math.abs)));
    // decoded by hand, transposed for Conv1D
    const w = await plain.second.weight.read();
    const turned = Float32Array.from({ length: 192 * 128 }, (_, i) =>
      Number(w.data[(i % 192) * 128 + Math.floor(i / 192)]),
    );
    const state = quantizeFourBit(turned, [128, 192]);
    expect((await (quantized.second.weight.form as FourBitWeight).read()).codes).toEqual(state.codes);
  });

  it("an embedding table in four bits is looked up row by row, and is what was decoded", async () => {
    const model = new Toy();
    await model.materialize({ device, seed: 4, storage: planQuantization(model, { embeddings: "nf4" }).storage });
    expect(model.table.weight.form!.kind).toBe("nf4");
    const ids = Int32Array.of(3, 19, 3, 0);
    const whole = await device.readFloats(model.table.weight.value);
    const rows = await device.readFloats(model.table.forward(device.tensor(ids, [4])));
    rows.forEach((v, i) => expect(v).toBe(whole[ids[Math.floor(i / 128)]! * 128 + (i % 128)]));
  });

  it("include and exclude choose modules, and nothing left is an error", async () => {
    const model = new Toy();
    expect([...planQuantization(model, { include: ["head", /sec/] }).modules.keys()]).toEqual(["second", "head"]);
    expect([...planQuantization(model, { exclude: ["first"] }).modules.keys()]).toEqual(["second"]);
    expect(() => planQuantization(model, { include: ["query"] })).toThrow(
      'quantize: "include" has "query", which matches no projection of the model; known: first, second, head',
    );
  });

  it("a quantized weight can be read but not trained", async () => {
    const model = new Toy();
    await model.materialize({ device, storage: planQuantization(model).storage });
    expect(model.first.weight.trainable).toBe(false);
    expect(() => model.first.weight.parameter).toThrow("first.weight is kept as nf4");
  });

  it("int8 scales belong to outputs, for [in, out] weights too", async () => {
    const [into, out] = [192, 128];
    const model = new Toy();
    await model.materialize({ device, seed: 4 });
    const w = Float32Array.from(await device.readFloats(model.second.weight.value));
    const turned = Float32Array.from({ length: w.length }, (_, i) => w[(i % into) * out + Math.floor(i / into)]!);
    const want = dequantizeRows(quantizeRows(turned, out, into), into);
    await quantize(model, { format: "int8", include: ["second"] });
    // one rounding for absmax/127 and one for the product
    (await device.readFloats(model.second.weight.value)).forEach((v, i) => {
      const y = want[(i % out) * into + Math.floor(i / out)]!;
      expect(Math.abs(v - y)).toBeLessThanOrEqual(4 * 2 ** -24 * Math.abs(y));
    });
  });

  it("int8 rows decode as on the host", async () => {
    const x = random(24 * 40);
    const form = planQuantization(new Toy(), { format: "int8" }).modules.get("first")!.keep(device, "w", [24, 40], x);
    const want = dequantizeRows(quantizeRows(x, 24, 40), 40);
    (await device.readFloats(form.value())).forEach((v, i) =>
      expect(Math.abs(v - want[i]!)).toBeLessThanOrEqual(2 * 2 ** -24 * 0.05),
    );
  });
});

it("the weight at full width is never in the arena: only scales are", async () => {
  const device = await init({ device: "wasm", threads: 1 });
  const [rows, cols, batch] = [768, 768, 16];
  const arena = (storage: boolean): number => {
    const layer = new Linear(cols, rows, { bias: false });
    const w = device.parameter(random(rows * cols), [rows, cols]);
    if (storage) layer.weight.form = fourBit().keep(device, "w", [rows, cols], random(rows * cols));
    else layer.weight.parameter = w;
    const step = compile(device, ({ x }) => {
      const y = layer.forward(x!);
      return { dx: grad(ops.sum(ops.square(y)), [x!])[0]! };
    });
    return step.plan({ x: { shape: [batch, cols], dtype: "f32" } }).arenaBytes;
  };
  const scales = (4 * rows * cols) / 64;
  expect(arena(true)).toBeLessThanOrEqual(arena(false) + scales + 1024);
  expect(arena(true)).toBeLessThan(rows * cols);
  device.close();
});

describe("Q10: files", () => {
  it("come back as they were", () => {
    for (const doubleQuantization of [false, true]) {
      const state = quantizeFourBit(random(33 * 7), [33, 7], { doubleQuantization }, "w", "float16");
      expect(fromEntries("a.weight", toEntries("a.weight", state))).toEqual(state);
    }
  });

  it.skipIf(!existsSync(folder)).each(["False", "True"])(
    "bitsandbytes' own Linear4bit (nested %s) loads and saves to the same payload",
    async (nested) => {
      const file = await SafetensorsFile.open(
        fromBytes(new Uint8Array(readFileSync(join(folder, `linear4bit_nested${nested}.safetensors`)))),
      );
      const entries = new Map<string, StoredTensor>();
      for (const name of file.names) entries.set(name, await file.read(name));
      const base = file.names.find((n) => entries.has(`${n}.absmax`))!;
      const ours = toEntries(base, fromEntries(base, entries));
      expect([...ours.keys()].sort()).toEqual(file.names.filter((n) => n === base || n.startsWith(`${base}.`)).sort());
      for (const [name, tensor] of ours)
        expect({ name, ...tensor, data: [...tensor.data] }).toEqual({
          name,
          ...entries.get(name)!,
          data: [...entries.get(name)!.data],
        });
      expect(serialize(ours).length).toBeGreaterThan(0);
    },
  );

  it("what does not fit is named", () => {
    const entries = toEntries("w", quantizeFourBit(random(128), [2, 64], { doubleQuantization: false }));
    const without = (key: string): Map<string, StoredTensor> => new Map([...entries].filter(([k]) => k !== key));
    expect(() => fromEntries("w", without("w.absmax"))).toThrow(
      "w: not a bitsandbytes four-bit weight: absmax missing",
    );
    expect(() => fromEntries("w", without("w.quant_state.bitsandbytes__nf4"))).toThrow(
      "exactly one quant_state.bitsandbytes__* entry, has 0",
    );
    expect(() => fromEntries("w", new Map([...entries, ["w.extra", entries.get("w")!]]))).toThrow(
      "unknown entries extra",
    );
    expect(() =>
      fromEntries("w", new Map([...entries, ["w", { dtype: "u8", shape: [3, 1], data: new Uint8Array(3) }]])),
    ).toThrow("needs 64 bytes of codes, there are 3");
  });
});
