/** LoftQ: adapters that begin as what four bits lose of their base, on that base, beside the original one, and in files. */
import { fc, test } from "@fast-check/vitest";
import { quantize } from "@lowrank/quant";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { adapt, adapterFactors, loadAdapter, saveAdapter, type AdapterOptions } from "../src/index.ts";
import { input, random, write } from "./helpers.ts";
import { MemoryFiles } from "./memory-files.ts";
import { Toy } from "./toy.ts";

const SIZE = 16;
let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());

async function whole(conv: boolean, seed = 0): Promise<Toy> {
  const model = new Toy(SIZE, { conv, layers: 1 });
  await model.materialize({ device, seed: 1 });
  for (const [, weight] of model.namedWeights()) write(weight, random(weight.size, weight.size + seed, 0.4));
  return model;
}
async function quantized(conv: boolean, doubleQuantization = true): Promise<Toy> {
  const model = await whole(conv);
  await quantize(model, { include: ["up", "down"], doubleQuantization });
  return model;
}
const outputs = async (model: Toy): Promise<number[]> => [...(await model.forward(input(device, 6, SIZE)).floats())];
const norm = (values: ArrayLike<number>): number => Math.hypot(...Array.from(values));
const config = (iterations: number, r: number): AdapterOptions => {
  return { targetModules: ["up", "down"], initLora: "loftq", loftq: { bits: 4, iterations }, r, alpha: r };
};
const drawn = [fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 4 }), fc.boolean()] as const;

describe("an adapter that begins with what quantization lost", () => {
  test.prop([...drawn, fc.boolean()], { numRuns: 12 })(
    "is nearer to the weights than its base, by the numbers that it tells",
    async (iterations, r, conv, double) => {
      const [model, original] = [await quantized(conv, double), await whole(conv)];
      const before = new Map<string, ArrayLike<number>>();
      for (const path of ["layer.0.up", "layer.0.down"])
        before.set(path, await (model.getModule(path) as Toy["classifier"]).weight.value.floats());
      const adapter = await adapt(model, config(iterations, r), { device, original });
      expect([...adapter.startErrors.keys()]).toEqual([...before.keys()]);
      for (const [path, layer] of adapter.layers) {
        const told = adapter.startErrors.get(path)!;
        const w = await (original.getModule(path) as Toy["classifier"]).weight.value.floats();
        const q = await layer.weight.value.floats();
        const update = await layer.delta().floats();
        const rest = norm(w.map((v, i) => v - q[i]! - update[i]!));
        expect(layer.weight.form!.kind).toBe("nf4");
        expect(told.after).toBeLessThan(told.before);
        expect(rest / told.after).toBeCloseTo(1, 4);
        expect(norm(w.map((v, i) => v - before.get(path)![i]!)) / told.before).toBeCloseTo(1, 4);
        if (iterations === 1) expect(q).toEqual(before.get(path));
      }
      await adapter.delete();
      for (const [path, values] of before)
        expect(await (model.getModule(path) as Toy["classifier"]).weight.value.floats()).toEqual(values);
    },
  );

  test.prop([...drawn], { numRuns: 10 })(
    "leaves as one of twice the rank for the original base, off by what it could not make up for",
    async (iterations, r, conv) => {
      const original = await whole(conv);
      const adapter = await adapt(await quantized(conv), config(iterations, r), { device, original });
      for (const { weights } of adapter.updates.values())
        for (const { weight } of weights) write(weight, random(weight.size, weight.size + r, 0.1));
      const files = new MemoryFiles();
      await saveAdapter(adapter, files);
      expect(JSON.parse(await files.text("adapter_config.json"))).toMatchObject({
        init_lora_weights: true,
        loftq_config: {},
        r: 2 * r,
        lora_alpha: 2 * r,
      });
      const loaded = await loadAdapter(await whole(conv), files, { device });
      expect(loaded.warnings).toEqual([]);
      const factors = new Map((await adapterFactors(adapter, "this")).map((f) => [f.module, f]));
      for (const [path, layer] of loaded.layers) {
        const own = adapter.layers.get(path)!;
        const [w, more] = [await layer.weight.value.floats(), await layer.delta().floats()];
        const [q, update] = [await own.weight.value.floats(), await own.delta().floats()];
        const apart = norm(w.map((v, i) => v + more[i]! - q[i]! - update[i]!));
        expect(apart / adapter.startErrors.get(path)!.after).toBeCloseTo(1, 3);
        expect(factors.get(path)!.rank).toBe(2 * r);
      }
    },
  );

  test.prop([...drawn], { numRuns: 8 })(
    "is the same adapter beside the base that it was saved with, and the same file again",
    async (iterations, r, conv) => {
      const original = await whole(conv);
      const model = await quantized(conv);
      const adapter = await adapt(model, config(iterations, r), { device, original });
      const want = await outputs(model);
      const [files, again] = [new MemoryFiles(), new MemoryFiles()];
      await saveAdapter(adapter, files, { keepStart: true });
      expect(JSON.parse(await files.text("adapter_config.json"))).toMatchObject({
        init_lora_weights: "loftq",
        loftq_config: { loftq_bits: 4, loftq_iter: iterations },
        r,
      });
      const other = await quantized(conv);
      // with one iteration the base is what it is without, and the file has the rest
      const loaded = await loadAdapter(other, files, { device, ...(iterations === 1 ? {} : { original }) });
      expect(await outputs(other)).toEqual(want);
      await saveAdapter(loaded, again, { keepStart: true });
      expect([...again.content]).toEqual([...files.content]);
      if (iterations === 1) await expect(saveAdapter(loaded, again)).rejects.toThrow('load it with "original"');
      // worked into the base: what the two are together
      await loaded.merge({ into: "dequantized" });
      (await outputs(other)).forEach((v, i) => expect(v).toBeCloseTo(want[i]!, 4));
    },
  );
});

describe("what LoftQ cannot begin from is refused", () => {
  const refused = async (options: AdapterOptions, model: Toy, original?: Toy): Promise<void> => {
    const before = await outputs(model);
    const error = await adapt(model, options, { device, ...(original && { original }) }).catch((e: unknown) => e);
    expect(await outputs(model)).toEqual(before);
    throw error;
  };
  it.each<[string, AdapterOptions, RegExp]>([
    ["alpha", { ...config(1, 2), alpha: 4 }, /the scale of layer.0.up is 2, .* set alpha to r, here 2/],
    ["rsLora", { ...config(1, 4), rsLora: true }, /the scale of layer.0.up is 2/],
    ["a pattern", { ...config(1, 2), rankPattern: { down: 4 } }, /the scale of layer.0.down is 0.5/],
    ["too large a rank", config(1, 20), /rank 20 is more than layer.0.up, 32×16, has/],
  ])("%s", async (_, options, message) => {
    await expect(refused(options, await quantized(false), await whole(false))).rejects.toThrow(message);
  });
  it("no original, another one, the base itself, a base of plain numbers", async () => {
    await expect(refused(config(1, 2), await quantized(false))).rejects.toThrow(
      'give the model at full width as "original"',
    );
    await expect(refused(config(2, 2), await quantized(false), await whole(false, 9))).rejects.toThrow(
      "is not what the base was quantized from",
    );
    await expect(refused(config(1, 2), await quantized(false), await quantized(false))).rejects.toThrow(
      "at full width",
    );
    await expect(refused(config(1, 2), await whole(false), await whole(false))).rejects.toThrow(
      "layer.0.up is kept as f32, and the start is for what NF4 loses",
    );
  });
  it("options of it without it, bits that are not built", async () => {
    await expect(
      refused({ targetModules: ["up"], loftq: { bits: 4, iterations: 2 } }, await whole(false)),
    ).rejects.toThrow('"loftq" is for init_lora_weights "loftq"');
    const files = new MemoryFiles([
      [
        "adapter_config.json",
        new TextEncoder().encode(
          JSON.stringify({
            peft_type: "LORA",
            target_modules: ["up"],
            init_lora_weights: "loftq",
            loftq_config: { loftq_bits: 2 },
          }),
        ),
      ],
    ]);
    await expect(loadAdapter(await quantized(false), files, { device })).rejects.toThrow("loftq_bits 2 is not built");
  });
  it("a file of more than one iteration without the original", async () => {
    const original = await whole(false);
    const adapter = await adapt(await quantized(false), config(2, 2), { device, original });
    const files = new MemoryFiles();
    await saveAdapter(adapter, files, { keepStart: true });
    const model = await quantized(false);
    const before = await outputs(model);
    await expect(loadAdapter(model, files, { device })).rejects.toThrow("before they were quantized");
    expect(await outputs(model)).toEqual(before);
  });
});
