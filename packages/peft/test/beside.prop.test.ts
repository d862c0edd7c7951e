/** Adapters whose start changed their base (PiSSA, OLoRA), on the original base: as files, and as products. */
import { fc, test } from "@fast-check/vitest";
import { init, ops, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  adapt,
  adapterFactors,
  loadAdapter,
  saveAdapter,
  type Adapter,
  type AdapterOptions,
  type LoraConfig,
} from "../src/index.ts";
import { input, random, write } from "./helpers.ts";
import { MemoryFiles } from "./memory-files.ts";
import { Toy } from "./toy.ts";

let device: Device;
beforeAll(async () => {
  // f32: numbers that a file holds are those in memory
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());

async function toy(conv: boolean): Promise<Toy> {
  const model = new Toy(4, { conv });
  await model.materialize({ device, seed: 1 });
  for (const [, weight] of model.namedWeights()) write(weight, random(weight.size, weight.size, 0.4));
  return model;
}
const outputs = async (model: Toy): Promise<number[]> => [...(await model.forward(input(device, 6, 4)).floats())];

/** Steps from where the start left A and B. */
function train(adapter: Adapter, seed: number): Promise<void[]> {
  const weights = [...adapter.updates.values()].flatMap((update) => update.weights.map(({ weight }) => weight));
  return Promise.all(
    weights.map(async (weight, i) => {
      const step = random(weight.size, seed + i, 0.1);
      write(
        weight,
        (await weight.value.floats()).map((v, k) => v + step[k]!),
      );
    }),
  );
}

const drawn = fc.record({
  initLora: fc.constantFrom("pissa" as const, "olora" as const),
  r: fc.integer({ min: 1, max: 3 }),
  alpha: fc.integer({ min: 1, max: 9 }),
  rsLora: fc.boolean(),
  dora: fc.boolean(),
  rankPattern: fc.constantFrom({}, { up: 2 }),
  alphaPattern: fc.constantFrom({}, { "layer.0.down": 3 }),
  alphaMode: fc.constantFrom("constant" as const, "constantScaling" as const),
});
const strength = fc.constantFrom(1, 0.5, -2);
/**
 * Outputs are sums of a few hundred products of numbers up to about 10, each rounded by 2^-24 of itself, on a base that lost and regained what the
 * start took: a thousand such roundings are 6e-4 of a thousandth. What is wrong by one rank is wrong by a tenth at least.
 */
const near = (got: readonly number[], want: readonly number[]): void => {
  const scale = Math.max(1, ...want.map(Math.abs));
  got.forEach((v, i) => expect(Math.abs(v - want[i]!)).toBeLessThanOrEqual(2e-5 * scale));
};

describe("an adapter whose start took from its base", () => {
  test.prop([drawn, strength, fc.boolean()], { numRuns: 25 })(
    "is saved as one of twice the rank beside the original base: the same outputs",
    async (config, factor, conv) => {
      fc.pre(!(conv && config.initLora === "olora"));
      const model = await toy(conv);
      const adapter = await adapt(model, { targetModules: ["up", "down"], ...config }, { device });
      await train(adapter, 7);
      adapter.scaleBy(factor);
      const want = await outputs(model);
      const files = new MemoryFiles();
      await saveAdapter(adapter, files);
      const said = JSON.parse(await files.text("adapter_config.json")) as Record<string, unknown>;
      expect(said).toMatchObject({ init_lora_weights: true, r: 2 * config.r });
      const other = await toy(conv);
      const before = await outputs(other);
      const loaded = await loadAdapter(other, files, { device });
      expect(loaded.warnings).toEqual([]);
      expect(loaded.table.map(({ rank }) => rank)).toEqual(adapter.table.map(({ rank }) => 2 * rank!));
      near(await outputs(other), want);
      // the base is the original one
      near(await loaded.disabled(() => outputs(other)), before);
    },
  );

  test.prop([drawn.map((config): Partial<LoraConfig> => ({ ...config, dora: false })), strength], { numRuns: 25 })(
    "is products whose sum with the original weights is what the adapter makes of its base",
    async (config, factor) => {
      const model = await toy(false);
      const original = new Map<string, Float64Array>();
      for (const path of ["layer.0.up", "layer.1.down"])
        original.set(path, (await (model.getModule(path) as Toy["classifier"]).weight.value.floats()) as Float64Array);
      const adapter = await adapt(model, { targetModules: ["up", "down"], ...config }, { device });
      await train(adapter, 7);
      adapter.scaleBy(factor);
      const factors = new Map((await adapterFactors(adapter, "this")).map((f) => [f.module, f]));
      expect(factors.size).toBe(4);
      for (const [path, w] of original) {
        const { a, b, rank, scale, inFeatures: n, outFeatures: m } = factors.get(path)!;
        const { site } = adapter.layers.get(path)!;
        const merged = await adapter.updates.get(path)!.mergedInto(ops.cast(site.matrix(), "f32")).floats();
        for (let o = 0; o < m; o++)
          for (let c = 0; c < n; c++) {
            let [sum, size] = [w[o * n + c]!, Math.abs(w[o * n + c]!)];
            for (let k = 0; k < rank; k++) {
              const term = scale * b[o * rank + k]! * a[k * n + c]!;
              sum += term;
              size += Math.abs(term);
            }
            expect(Math.abs(merged[o * n + c]! - sum)).toBeLessThanOrEqual(32 * 2 ** -24 * size);
          }
      }
    },
  );

  it("is left as it is on request, and refused where a scale of 0 would lose what it took", async () => {
    const adapter = await adapt(await toy(false), { r: 2, targetModules: ["up"], initLora: "pissa" }, { device });
    const files = new MemoryFiles();
    await saveAdapter(adapter, files, { keepStart: true });
    expect(JSON.parse(await files.text("adapter_config.json"))).toMatchObject({ init_lora_weights: "pissa", r: 2 });
    adapter.scaleBy(0);
    await expect(saveAdapter(adapter, files)).rejects.toThrow("scaled to 0, and what its start took from the base");
  });
});

describe("what is no product", () => {
  it.each<[string, AdapterOptions, string]>([
    ["DoRA", { dora: true }, "DoRA, which does more than add a product"],
    ["IA³", { method: "ia3", feedforwardModules: [] }, "IA³, whose update is no product"],
    ["VeRA", { method: "vera", r: 2 }, "VeRA, whose update is no product"],
    ["lora_bias", { loraBias: true }, "a bias of B's own (lora_bias) on layer.0.up"],
    ["biases", { bias: "all" }, 'biases of the base, which were trained along (bias "all")'],
    ["saved modules", { modulesToSave: ["classifier"] }, "classifier, which was trained whole (modules_to_save)"],
  ])("is refused by name: %s", async (_, config, message) => {
    const adapter = await adapt(await toy(false), { targetModules: ["up"], ...config } as AdapterOptions, { device });
    await expect(adapterFactors(adapter, "a file")).rejects.toThrow(`a file cannot hold ${message}`);
  });
});
