/** An adapter leaves no trace where it does not take part, is refused, or is gone; what could have no effect is refused. */
import { Embedding, Module, type FamilyFacts } from "@lowrank/nn";
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  adaLoraConfig,
  adapt,
  adapterConfigFile,
  attach,
  combine,
  loadAdapter,
  adapterConfig,
  parseAdapterConfig,
  resolveTargets,
  saveAdapter,
  type AdapterConfig,
  type SvdUpdate,
} from "../src/index.ts";
import { familyOf } from "./family.ts";
import { enlarge, input, stir } from "./helpers.ts";
import { MemoryFiles } from "./memory-files.ts";
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

  const run = (model: Toy): Promise<Float64Array> => model.forward(input(device, 3, 6)).floats();
  const weightOf = (model: Toy): Promise<ArrayLike<number>> => model.layer[0]!.up.weight.parameter.data();
  const names = (model: Module): string[] => [...model.namedWeights()].map(([n]) => n);
  // two blocks of sums of at most 12 products, in two orders; a part of W taken out and put back is two roundings more
  const close = (a: ArrayLike<number>, b: ArrayLike<number>): void => {
    for (let i = 0; i < a.length; i++)
      expect(Math.abs(a[i]! - b[i]!)).toBeLessThanOrEqual(500 * u * (1 + Math.abs(a[i]!)));
  };

  async function toy(size = 6): Promise<Toy> {
    const model = new Toy(size);
    await model.materialize({ device, seed: 2 });
    enlarge(model.weights());
    return model;
  }

  it.each([false, true])(
    "a new adapter acts alone, also where it leaves out modules of the one before (merged: %s)",
    async (merged) => {
      const model = await toy();
      const base = await run(model);
      const first = await adapt(model, { r: 2, targetModules: ["up"] }, { device, name: "first" });
      stir(first, 1);
      if (merged) await first.merge();
      await adapt(model, { r: 1, targetModules: ["down"] }, { device, name: "second" });
      expect(await run(model)).toEqual(base);
    },
  );

  it.each(["pissa", "olora"] as const)(
    "%s: a sum does not take from the base again, and the base comes back when the adapters go",
    async (initLora) => {
      const model = await toy();
      const [before, weight] = [await run(model), await weightOf(model)];
      const adapter = await adapt(model, { r: 2, alpha: 6, targetModules: ["up"], initLora }, { device, name: "a" });
      const taken = await weightOf(model);
      expect(Math.max(...Array.from(taken, (v, i) => Math.abs(v - weight[i]!)))).toBeGreaterThan(0.01);
      const sum = await combine([[adapter, 1]], "sum", { device });
      expect(await weightOf(model)).toEqual(taken);
      await sum.delete();
      await adapter.delete();
      close(await weightOf(model), weight);
      close(await run(model), before);
    },
  );

  it("when all adapters are gone the model is as it was, head included", async () => {
    const model = await toy();
    const [before, paths] = [await run(model), names(model)];
    const first = await adapt(model, { r: 2, targetModules: ["up"], taskType: "SEQ_CLS" }, { device, name: "first" });
    const second = await adapt(
      model,
      { r: 2, targetModules: ["down"], taskType: "SEQ_CLS" },
      { device, name: "second" },
    );
    await first.delete();
    await second.delete();
    expect(names(model)).toEqual(paths);
    expect(await run(model)).toEqual(before);
  });

  it("a file for another base changes nothing, and the right one loads afterwards", async () => {
    const [wrong, right] = [new MemoryFiles(), new MemoryFiles()];
    await saveAdapter(await adapt(await toy(4), { r: 2, targetModules: ["up"] }, { device }), wrong);
    const donor = await toy();
    const adapter = await adapt(donor, { r: 2, targetModules: ["up"] }, { device });
    stir(adapter, 3);
    await saveAdapter(adapter, right);
    const model = await toy();
    const [paths, trained] = [names(model), model.trainableWeights()];
    await expect(loadAdapter(model, wrong, { device })).rejects.toThrow(
      /does not fit this base: .*lora_A.weight is \[2, 4\], the model wants \[2, 6\]/,
    );
    expect(names(model)).toEqual(paths);
    expect(model.trainableWeights()).toEqual(trained);
    await loadAdapter(model, right, { device });
    const [got, want] = [await run(model), await run(donor)];
    // files are f32, whatever the device is
    got.forEach((v, i) => expect(Math.abs(v - want[i]!)).toBeLessThanOrEqual(500 * 2 ** -24 * (1 + Math.abs(v))));
  });

  it("a start that is refused gives the layers back", async () => {
    const model = await toy();
    const paths = names(model);
    await expect(adapt(model, { r: 3, targetModules: ["up"], initLora: "orthogonal" }, { device })).rejects.toThrow(
      "needs an even rank",
    );
    expect(names(model)).toEqual(paths);
  });

  it("mergeAndUnload takes every adapter of the model off, with those on other modules", async () => {
    const model = await toy();
    const paths = names(model);
    const first = await adapt(model, { r: 2, targetModules: ["up"], taskType: "SEQ_CLS" }, { device, name: "first" });
    stir(first, 1);
    const second = await adapt(model, { r: 2, targetModules: ["down"] }, { device, name: "second" });
    stir(second, 2);
    const adapted = await run(model);
    await second.mergeAndUnload();
    expect(names(model)).toEqual(paths);
    close(await run(model), adapted);
  });

  it("AdaLoRA without PEFT's reset starts with values everywhere", async () => {
    const adapter = await adapt(
      await toy(),
      { targetModules: ["up"], initLora: false, adaLora: adaLoraConfig({ initR: 2, targetR: 1, totalStep: 5 }) },
      { device },
    );
    for (const { e } of adapter.updates.values() as Iterable<SvdUpdate>)
      expect((await e.value.floats()).every((v) => v !== 0)).toBe(true);
  });
});

it("a constant scale under a rank pattern holds for rsLoRA too, and in files, which have no word for it", () => {
  for (const rsLora of [false, true]) {
    const config = adapterConfig({
      r: 8,
      alpha: 16,
      rsLora,
      alphaMode: "constantScaling",
      targetModules: ["up", "down", "classifier"],
      rankPattern: { up: 4, "1\\.down": 2 },
      alphaPattern: { classifier: 3 },
    });
    const scales = (c: AdapterConfig): unknown[] => resolveTargets(new Toy(4), c).map((row) => row.scale);
    for (const scale of scales(config).slice(0, 4))
      expect(scale as number).toBeCloseTo(rsLora ? 16 / Math.sqrt(8) : 2, 14);
    expect(
      scales(parseAdapterConfig(JSON.parse(JSON.stringify(adapterConfigFile(config))) as Record<string, unknown>)),
    ).toEqual(scales(config));
  }
});

it.each(["position_embeddings", "token_type_embeddings", "wpe"])(
  "%s is never looked up by models, so it takes no adapter",
  (name) => {
    class Sliced extends Module {
      readonly inner: Module & Record<string, Module> = new (class extends Module {})() as never;
      override get family(): FamilyFacts {
        return familyOf({ slicedTables: [name] });
      }
    }
    const model = new Sliced();
    model.inner[name] = new Embedding(4, 3);
    expect(() => attach(model, { targetModules: [name] })).toThrow(`${name} cannot take an adapter`);
  },
);
