/** Several adapters on one model, which weights train, and turning an adapted model into a plain one. */
import { Linear, type Module } from "@lowrank/nn";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { activate, adaLoraConfig, adapt, attach, combine, familyRanks, type LoraConfig } from "../src/index.ts";
import { enlarge, input, stir } from "./helpers.ts";
import { Toy } from "./toy.ts";

describe.each([
  ["reference", 2 ** -53],
  ["wasm", 2 ** -24],
] as const)("on %s", (name, u) => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: name, threads: 1 });
  });
  afterAll(() => device.close());

  // two blocks of sums of at most 12 products, in two orders
  const close = (a: Float64Array, b: Float64Array): void =>
    a.forEach((v, i) => expect(Math.abs(v - b[i]!)).toBeLessThanOrEqual(500 * u * (1 + Math.abs(v))));
  async function toy(): Promise<Toy> {
    const model = new Toy(6);
    await model.materialize({ device, seed: 2 });
    enlarge(model.weights().filter((w) => w.shape.length === 2));
    return model;
  }
  const trained = (model: Module): string[] => [...model.namedWeights()].filter(([, w]) => w.trainable).map(([n]) => n);

  it("one at a time, both, a weighted sum of them, none", async () => {
    const model = await toy();
    const x = input(device, 3, 6);
    const base = await model.forward(x).floats();
    const first = await adapt(model, { r: 2, alpha: 2, targetModules: ["up"] }, { device, seed: 1, name: "first" });
    stir(first, 1);
    const withFirst = await model.forward(x).floats();
    const second = await adapt(
      model,
      { r: 3, alpha: 6, targetModules: ["up", "down"], modulesToSave: ["classifier"] },
      { device, seed: 2, name: "second" },
    );
    stir(second, 2);
    const withSecond = await model.forward(x).floats();
    expect(trained(model).every((n) => n.includes(".second"))).toBe(true);
    activate(model, "first");
    expect(await model.forward(x).floats()).toEqual(withFirst);
    expect(trained(model)).toHaveLength(4);
    expect(trained(model).every((n) => n.includes(".first."))).toBe(true);
    activate(model, "first", "second");
    const both = await model.forward(x).floats();
    // the classifier's copy is the second's still, and equal to the original
    await combine(
      [
        [first, 1],
        [second, 1],
      ],
      "sum",
      { device },
    );
    close(await model.forward(x).floats(), both);
    await combine(
      [
        [first, 0.5],
        [second, 0],
      ],
      "half",
      { device },
    );
    const half = await model.forward(x).floats();
    activate(model, "first");
    first.scaleBy(0.5);
    close(await model.forward(x).floats(), half);
    activate(model, "second");
    expect(await model.forward(x).floats()).toEqual(withSecond);
    expect(await second.disabled(() => model.forward(x).floats())).toEqual(base);
    await second.delete();
    expect([...model.namedWeights()].some(([n]) => n.includes(".second."))).toBe(false);
    expect(() => activate(model, "second")).toThrow("no adapter called second; it has first, sum, half");
    expect(() => attach(model, { r: 1, targetModules: ["up"] }, "first")).toThrow('there is an adapter "first"');
  });

  it("a merged adapter comes off before another takes part, is scaled or added", async () => {
    const model = await toy();
    const x = input(device, 3, 6);
    const first = await adapt(model, { r: 2, targetModules: ["up"] }, { device, seed: 1, name: "first" });
    stir(first, 1);
    const withFirst = await model.forward(x).floats();
    await first.merge();
    const second = await adapt(model, { r: 2, targetModules: ["up"] }, { device, seed: 2, name: "second" });
    stir(second, 2);
    const withSecond = await model.forward(x).floats();
    await second.merge();
    activate(model, "first");
    expect(await model.forward(x).floats()).toEqual(withFirst);
    await first.merge();
    first.scaleBy(2);
    first.scaleBy(0.5);
    expect(await model.forward(x).floats()).toEqual(withFirst);
    activate(model, "second");
    expect(await model.forward(x).floats()).toEqual(withSecond);
  });

  it("mergeAndUnload leaves a plain model with the same function and the base's names", async () => {
    const model = await toy();
    const names = [...model.namedWeights()].map(([n]) => n);
    const x = input(device, 3, 6);
    const adapter = await adapt(
      model,
      { r: 2, targetModules: ["up", "down"], modulesToSave: ["classifier"] },
      { device, seed: 1 },
    );
    stir(adapter, 1);
    enlarge(adapter.saved.get("classifier")!.copy.weights());
    const adapted = await model.forward(x).floats();
    expect(await adapter.mergeAndUnload({ safe: true })).toHaveLength(4);
    close(await model.forward(x).floats(), adapted);
    expect([...model.namedWeights()].map(([n]) => n)).toEqual(names);
    expect(model.classifier).toBeInstanceOf(Linear);
  });

  it("an adapter that is refused leaves the model as it was", async () => {
    const model = await toy();
    await adapt(model, { r: 2, targetModules: ["up"] }, { device, name: "first" });
    const before = trained(model);
    expect(() => attach(model, { r: 1, targetModules: ["down", "up"] }, "first")).toThrow(
      'there is an adapter "first" on layer.0.up',
    );
    expect(() => attach(model, { r: 1, targetModules: ["down"] }, "a.b")).toThrow('"a.b" is no name for an adapter');
    expect(trained(model)).toEqual(before);
    expect(model.layer[0]!.down).toBeInstanceOf(Linear);
  });

  it("adapters that cannot be added up are refused by path", async () => {
    const model = await toy();
    const dora = await adapt(model, { r: 2, dora: true, targetModules: ["up"] }, { device, name: "dora" });
    await expect(combine([[dora, 1]], "sum", { device })).rejects.toThrow("layer.0.up is not a plain LoRA");
    await expect(combine([], "sum", { device })).rejects.toThrow("at least one");
  });
});

it("alpha is kept, or the scale is, under a rank pattern", () => {
  const table = (config: Partial<LoraConfig>): unknown[] =>
    attach(new Toy(4), { r: 8, alpha: 16, targetModules: ["up", "down"], rankPattern: { up: 4 }, ...config }).table.map(
      (r) => r.scale,
    );
  expect(table({})).toEqual([4, 2, 4, 2]);
  expect(table({ alphaMode: "constantScaling" })).toEqual([2, 2, 2, 2]);
  expect(() => familyRanks(new Toy(4), { attention: 1 })).toThrow("the model says no family");
});

it("biases train as asked, and never that of a saved module's original", () => {
  const biases = (config: Partial<LoraConfig>): string[] => {
    const model = new Toy(4, { layers: 1 });
    const adapter = attach(model, { r: 1, targetModules: ["up"], modulesToSave: ["classifier"], ...config });
    const stored = [...adapter.fileWeights()].filter(([n]) => n.endsWith("bias"));
    expect(stored.map(([, w]) => w.trainable)).toEqual(stored.map(() => true));
    expect(stored).toHaveLength([...model.namedWeights()].filter(([n, w]) => n.endsWith("bias") && w.trainable).length);
    return stored.map(([n]) => n.replace("base_model.model.", "")).sort();
  };
  expect(biases({ bias: "none" })).toEqual(["classifier.bias"]);
  expect(biases({ bias: "lora_only" })).toEqual(["classifier.bias", "layer.0.up.base_layer.bias"]);
  expect(biases({ bias: "all" })).toEqual(["classifier.bias", "layer.0.down.bias", "layer.0.up.base_layer.bias"]);
});

it("the effective count leaves out ranks that an allocator dropped", () => {
  const adapter = attach(new Toy(4, { layers: 1 }), {
    targetModules: ["up", "down"],
    adaLora: adaLoraConfig({ initR: 3, targetR: 2, totalStep: 10 }),
  });
  const { trainable, effective } = adapter.report(new Map([["layer.0.up", [true, false, true]]]));
  expect(trainable).toBe(2 * 3 * (4 + 8 + 1));
  expect(effective).toBe(trainable - (4 + 8 + 1));
  expect(adapter.report().effective).toBe(trainable);
});
