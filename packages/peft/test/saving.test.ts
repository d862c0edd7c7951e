/** What is saved is what PEFT and we read back as the same function, or it is refused; what is stored is checked as it is stored. */
import { Conv1D, Linear, Module, type Projection } from "@lowrank/nn";
import { quantize } from "@lowrank/quant";
import { init, SafetensorsFile, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";
import { adaLoraConfig, adapt, loadAdapter, saveAdapter, type LoraConfig, type LoraUpdate } from "../src/index.ts";
import { enlarge, input, stir, write } from "./helpers.ts";
import { MemoryFiles } from "./memory-files.ts";
import { Toy } from "./toy.ts";

let device: Device;
beforeAll(async () => {
  device = await init({ device: "reference" });
});
afterAll(() => device.close());

async function toy(conv = false): Promise<Toy> {
  const model = new Toy(4, { conv });
  await model.materialize({ device, seed: 2 });
  enlarge(model.weights().filter((w) => w.shape.length === 2));
  return model;
}
const value = async (model: Toy): Promise<number[]> => [...(await model.forward(input(device, 2, 4)).floats())];
const configOf = async (files: MemoryFiles): Promise<Record<string, unknown>> =>
  JSON.parse(await files.text("adapter_config.json")) as Record<string, unknown>;
const close = (a: readonly number[], b: readonly number[]): void =>
  a.forEach((v, i) => expect(Math.abs(v - b[i]!)).toBeLessThan(1e-5 * (1 + Math.abs(v))));

it.each<[string, Partial<LoraConfig>]>([
  ["LoRA", { r: 3, alpha: 5 }],
  ["rsLoRA", { r: 3, alpha: 5, rsLora: true }],
  ["patterns", { r: 2, rankPattern: { up: 3 }, alphaPattern: { down: 7 } }],
  ["constant scaling", { r: 2, rankPattern: { up: 3 }, alphaMode: "constantScaling" }],
  ["DoRA", { r: 2, dora: true }],
  ["lora_bias", { r: 2, loraBias: true }],
  ["AdaLoRA", { adaLora: adaLoraConfig({ totalStep: 10, initR: 2, targetR: 1 }), alpha: 3 }],
  ["PiSSA", { r: 2, initLora: "pissa" }],
  ["lora_bias and base biases", { r: 2, loraBias: true, bias: "lora_only" }],
  ["lora_bias and all biases", { r: 2, loraBias: true, bias: "all" }],
])("%s: scaled, merged and saved, it loads as the same function", async (_, config) => {
  const model = await toy();
  const adapter = await adapt(model, { targetModules: ["up", "down"], ...config }, { device, seed: 3 });
  stir(adapter, 4);
  if (config.bias !== undefined) enlarge(adapter.biases(), 0.3);
  adapter.scaleBy(0.7);
  // both of these find something by a positive alpha
  adapter.scaleBy(config.adaLora !== undefined || config.initLora === "pissa" ? 3 : -3);
  const want = await value(model);
  await adapter.merge();
  const merged = await value(model);
  const files = new MemoryFiles();
  await saveAdapter(adapter, files);
  // merged as before
  expect(await value(model)).toEqual(merged);
  const other = await toy();
  const loaded = await loadAdapter(other, files, { device });
  close(await value(other), want);
  expect(loaded.table.map(({ module }) => loaded.updates.get(module)!.scale)).toEqual(
    adapter.table.map(({ module }) => adapter.updates.get(module)!.scale),
  );
});

it("scales set one by one become alphas of their own; what alpha cannot say is refused", async () => {
  const model = await toy();
  const adapter = await adapt(model, { r: 2, targetModules: ["up"] }, { device, seed: 3 });
  stir(adapter, 4);
  adapter.updates.get("layer.1.up")!.scale = 0.25;
  const files = new MemoryFiles();
  await saveAdapter(adapter, files);
  expect((await configOf(files))["alpha_pattern"]).toEqual({ "layer\\.0\\.up": 8, "layer\\.1\\.up": 0.5 });
  const other = await toy();
  await loadAdapter(other, files, { device });
  close(await value(other), await value(model));
  const olora = await adapt(await toy(), { r: 2, targetModules: ["up"], initLora: "olora" }, { device });
  olora.scaleBy(2);
  await expect(saveAdapter(olora, new MemoryFiles(), { keepStart: true })).rejects.toThrow(
    "OLoRA takes alpha to find the base",
  );
  const pissa = await adapt(await toy(), { r: 2, targetModules: ["up"], initLora: "pissa" }, { device });
  pissa.scaleBy(-1);
  await expect(saveAdapter(pissa, new MemoryFiles(), { keepStart: true })).rejects.toThrow("PiSSA divides by it");
  await expect(
    adapt(await toy(), { r: 2, alpha: 0, targetModules: ["up"], initLora: "pissa" }, { device }),
  ).rejects.toThrow('"pissa" divides by alpha');
  const ada = await adapt(
    await toy(),
    { targetModules: ["up"], adaLora: adaLoraConfig({ totalStep: 10, initR: 2, targetR: 1 }) },
    { device },
  );
  ada.scaleBy(-1);
  await expect(saveAdapter(ada, new MemoryFiles())).rejects.toThrow("AdaLoRA has one alpha, above 0");
});

it("a file names its base, its targets one by one and GPT-2's orientation", async () => {
  const model = await toy(true);
  const files = new MemoryFiles();
  const adapter = await adapt(model, { r: 1, targetModules: "all-linear" }, { device });
  await saveAdapter(adapter, files);
  // of layers of both kinds PEFT's one word is that of the last
  expect(await configOf(files)).toMatchObject({
    base_model_name_or_path: null,
    fan_in_fan_out: false,
    target_modules: ["classifier", "layer.0.down", "layer.0.up", "layer.1.down", "layer.1.up"],
  });
  model.origin = "models/toy";
  await saveAdapter(adapter, files);
  expect((await configOf(files))["base_model_name_or_path"]).toBe("models/toy");
  await saveAdapter(adapter, files, { baseModel: "me/toy" });
  expect((await configOf(files))["base_model_name_or_path"]).toBe("me/toy");
  const other = await toy(true);
  other.origin = "elsewhere";
  await saveAdapter(await loadAdapter(other, files, { device }), files);
  expect((await configOf(files))["base_model_name_or_path"]).toBe("me/toy");
  class Attention extends Module {
    c_attn: Projection = new Conv1D(4, 12);
    c_proj: Projection = new Linear(4, 4);
  }
  const gpt = new Attention();
  await gpt.materialize({ device });
  await saveAdapter(await adapt(gpt, {}, { device }), files);
  expect(await configOf(files)).toMatchObject({ target_modules: ["c_attn"], fan_in_fan_out: true });
  const conv = new Attention();
  await conv.materialize({ device });
  await expect(adapt(conv, { initLora: "olora" }, { device })).rejects.toThrow(
    'init_lora_weights "olora" on c_attn, a Conv1D: PEFT factorizes its weight the wrong way round',
  );
});

it("values are checked in the width they are stored in: merged into f16, written as f32", async () => {
  const f32 = await init({ device: "wasm", threads: 1 });
  class One extends Module {
    a: Linear = new Linear(2, 2);
    b: Linear = new Linear(2, 2);
    forward(x: Tensor): Tensor {
      return this.b.forward(this.a.forward(x));
    }
  }
  const model = new One();
  await model.materialize({ device: f32, storage: (name) => (name.endsWith("weight") ? "f16" : undefined) });
  const adapter = await adapt(model, { r: 1, alpha: 1, targetModules: ["a", "b"] }, { device: f32 });
  const update = adapter.updates.get("b") as LoraUpdate;
  write(update.a, [1000, 1]);
  write(update.b, [100, 1]);
  const before = await model.a.weight.parameter.data();
  for (const safe of [true, false])
    await expect(adapter.merge({ safe })).rejects.toThrow(
      "b.weight would hold values that are not finite; they are too large for f16",
    );
  expect(await model.a.weight.parameter.data()).toEqual(before);
  expect([...adapter.layers.values()].some((layer) => layer.merged)).toBe(false);
  f32.close();
  const wide = await toy();
  const large = await adapt(wide, { r: 1, targetModules: ["up"] }, { device });
  write(
    (large.updates.get("layer.1.up") as LoraUpdate).b,
    Float64Array.from({ length: 8 }, () => 1e300),
  );
  await expect(saveAdapter(large, new MemoryFiles())).rejects.toThrow(
    "layer.1.up.lora_B.weight: element 0, 1e+300, is too large for f32",
  );
  write(
    (large.updates.get("layer.1.up") as LoraUpdate).b,
    Float64Array.from({ length: 8 }, () => NaN),
  );
  await expect(saveAdapter(large, new MemoryFiles())).rejects.toThrow("lora_B.weight holds NaN at element 0");
  const files = new MemoryFiles();
  await saveAdapter(large, files, { allowNonFinite: true });
  const other = await toy();
  await expect(loadAdapter(other, files, { device })).rejects.toThrow(
    "layer.1.up.lora_B.weight holds NaN at element 0; say allowNonFinite",
  );
  expect([...other.namedWeights()].some(([n]) => n.includes("lora"))).toBe(false);
  await loadAdapter(other, files, { device, allowNonFinite: true });
});

it("biases merged into a base that was quantized cannot be told apart, and are not saved", async () => {
  const model = new (class extends Module {
    up: Linear = new Linear(64, 64);
    readonly head: Linear = new Linear(64, 2);
  })();
  await model.materialize({ device, seed: 2 });
  await quantize(model);
  const adapter = await adapt(model, { r: 2, targetModules: ["up"], loraBias: true, bias: "lora_only" }, { device });
  await adapter.merge({ into: "dequantized" });
  await expect(saveAdapter(adapter, new MemoryFiles())).rejects.toThrow("save before merging");
});

it("a file that holds no floats is refused by name", async () => {
  const { serialize } = await import("@lowrank/tensor");
  const model = await toy();
  const files = new MemoryFiles();
  await saveAdapter(await adapt(model, { r: 1, targetModules: ["up"] }, { device }), files);
  const file = await SafetensorsFile.open(await files.open("adapter_model.safetensors"));
  const tensors = new Map(await Promise.all(file.names.map(async (n) => [n, await file.read(n)] as const)));
  const name = "base_model.model.layer.0.up.lora_A.weight";
  tensors.set(name, { ...tensors.get(name)!, dtype: "i32", data: new Int32Array(4) });
  files.content.set("adapter_model.safetensors", serialize(tensors));
  await expect(loadAdapter(await toy(), files, { device })).rejects.toThrow(
    `${name} holds i32; an adapter's values are floats`,
  );
});
