/** VeRA against the formula on the host; its shared projections in memory and in files. */
import { Conv1D, Embedding, Linear, Module, type Projection } from "@lowrank/nn";
import { init, SafetensorsFile, serialize, type Device, type StoredTensor } from "@lowrank/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { adapt, attach, loadAdapter, saveAdapter, type VeraUpdate } from "../src/index.ts";
import { input, random, stir, write } from "./helpers.ts";
import { MemoryFiles } from "./memory-files.ts";
import { Toy } from "./toy.ts";

class Pair extends Module {
  a: Projection;
  b: Projection;
  constructor([ain, aout, bin, bout]: readonly number[], conv: boolean) {
    super();
    this.a = conv ? new Conv1D(ain!, aout!) : new Linear(ain!, aout!);
    this.b = new Linear(bin!, bout!);
  }
}

/** x·Mᵀ, x [n, in], M [out, columns] of which the first `inner` count. */
function product(x: Float64Array, m: Float64Array, inner: number, columns: number, outer: number): Float64Array {
  return Float64Array.from({ length: (x.length / inner) * outer }, (_, at) => {
    let sum = 0;
    for (let i = 0; i < inner; i++) sum += x[Math.floor(at / outer) * inner + i]! * m[(at % outer) * columns + i]!;
    return sum;
  });
}

describe.each([["reference"], ["wasm"]] as const)("VeRA on %s", (name) => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: name, threads: 1 });
  });
  afterAll(() => device.close());

  it("starts as the base, is the formula with its part of the largest projections, merges to it and comes off to the same bytes", async () => {
    // sums of at most 8 terms of order 1, three one behind another
    const tolerance = name === "reference" ? 1e-13 : 1e-4;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 4, maxLength: 4 }),
        fc.integer({ min: 1, max: 5 }),
        fc.boolean(),
        fc.integer({ min: 1, max: 1000 }),
        async (sizes, r, conv, seed) => {
          const model = new Pair(sizes, conv);
          await model.materialize({ device, seed });
          const adapter = await adapt(
            model,
            { method: "vera", r, targetModules: ["a", "b"], projectionPrngKey: seed },
            { device, seed },
          );
          const outs = sizes[1]! + sizes[3]!;
          expect(adapter.report()).toMatchObject({ trainable: 2 * r + outs });
          const before = model.weights().reduce((sum, w) => sum + w.size, 0);
          expect(adapter.report().total).toBe(before);
          const { projections } = adapter.updates.get("a") as VeraUpdate;
          expect([projections.a.shape, projections.b.shape]).toEqual([
            [r, Math.max(sizes[0]!, sizes[2]!)],
            [Math.max(sizes[1]!, sizes[3]!), r],
          ]);
          const [pa, pb] = [await projections.a.value.floats(), await projections.b.value.floats()];
          for (const [path, layer] of adapter.layers) {
            const [inner, outer] = [layer.inFeatures, layer.outFeatures];
            const x = input(device, 3, inner, seed);
            const base = await layer.base.forward(x).floats();
            expect(await layer.forward(x).floats()).toEqual(base);
            const update = adapter.updates.get(path) as VeraUpdate;
            expect([...(await update.d.value.floats())].every((v) => Math.abs(v - 0.1) < 1e-8)).toBe(true);
            write(update.b, random(outer, seed));
            write(update.d, random(r, seed + 1));
            const [lb, ld] = [await update.b.value.floats(), await update.d.value.floats()];
            const down = product(await x.floats(), pa, inner, projections.a.shape[1]!, r).map((v, i) => v * ld[i % r]!);
            const up = product(down, pb, r, r, outer).map((v, i) => v * lb[i % outer]! + base[i]!);
            const close = (got: Float64Array): void =>
              got.forEach((v, i) => expect(Math.abs(v - up[i]!)).toBeLessThanOrEqual(tolerance * (1 + Math.abs(v))));
            close(await layer.forward(x).floats());
            const weight = await layer.weight.parameter.data();
            await adapter.merge({ safe: true });
            close(await layer.forward(x).floats());
            adapter.unmerge();
            expect(await layer.weight.parameter.data()).toEqual(weight);
          }
          await adapter.delete();
          expect([projections.a.materialized, projections.b.materialized]).toEqual([false, false]);
          model.dispose();
        },
      ),
      { numRuns: 12 },
    );
  });
});

const namesOf = async (files: MemoryFiles): Promise<string[]> =>
  (await SafetensorsFile.open(await files.open("adapter_model.safetensors"))).names;

describe("files of VeRA", () => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: "reference" });
  });
  afterAll(() => device.close());
  const make = async (): Promise<Toy> => {
    const model = new Toy(4);
    await model.materialize({ device, seed: 2 });
    return model;
  };

  it("hold the projections or leave them to whoever reads, to the same function", async () => {
    for (const saveProjection of [true, false]) {
      const model = await make();
      const adapter = await adapt(
        model,
        {
          method: "vera",
          r: 3,
          targetModules: ["up", "down"],
          saveProjection,
          projectionPrngKey: 7,
          bias: "vera_only",
        },
        { device },
      );
      stir(adapter, 4);
      const files = new MemoryFiles();
      await saveAdapter(adapter, files);
      const names = await namesOf(files);
      expect(names.filter((n) => !n.startsWith("base_model.model."))).toEqual(
        saveProjection ? ["base_model.vera_A", "base_model.vera_B"] : [],
      );
      expect(names).toContain("base_model.model.layer.0.up.base_layer.bias");
      const other = await make();
      const loaded = await loadAdapter(other, files, { device });
      expect(loaded.warnings).toEqual([]);
      const x = input(device, 2, 4);
      const [got, want] = [await other.forward(x).floats(), await model.forward(x).floats()];
      // files are f32
      got.forEach((v, i) => expect(v).toBeCloseTo(want[i]!, 5));
      const again = new MemoryFiles();
      await saveAdapter(loaded, again);
      expect(again.content).toEqual(files.content);
    }
  });

  it("without projections that they say they hold are refused; with some that they say they lack, those are drawn and it is said", async () => {
    const files = new MemoryFiles();
    await saveAdapter(await adapt(await make(), { method: "vera", r: 3, targetModules: ["up"] }, { device }), files);
    const file = await SafetensorsFile.open(await files.open("adapter_model.safetensors"));
    const tensors = new Map<string, StoredTensor>();
    for (const name of file.names) tensors.set(name, await file.read(name));
    const config = JSON.parse(await files.text("adapter_config.json")) as Record<string, unknown>;
    const without = new Map([...tensors].filter(([name]) => !name.startsWith("base_model.vera_")));
    const store = (values: Map<string, StoredTensor>, said: object): MemoryFiles =>
      new MemoryFiles([
        ["adapter_model.safetensors", serialize(values)],
        ["adapter_config.json", new TextEncoder().encode(JSON.stringify({ ...config, ...said }))],
      ]);
    await expect(loadAdapter(await make(), store(without, {}), { device })).rejects.toThrow(
      "base_model.vera_A is missing; base_model.vera_B is missing",
    );
    const { warnings } = await loadAdapter(await make(), store(tensors, { save_projection: false }), { device });
    expect(warnings).toEqual([
      "base_model.vera_A has no place in this model; it is left out",
      "base_model.vera_B has no place in this model; it is left out",
    ]);
  });
});

it.each<[object, string]>([
  [{ targetModules: ["up"], excludeModules: ["down"] }, 'unknown key "excludeModules"'],
  [{ targetModules: ["up"], projectionPrngKey: -1 }, '"projectionPrngKey" must be'],
  [{ targetModules: ["up"], alpha: 8 }, 'VeRA: has an unknown key "alpha"'],
  [{ targetModules: ["up"], d_initial: 0.1 }, 'did you mean "dInitial"?'],
  [{ targetModules: ["up"], bias: "lora_only" }, '"bias" must be'],
  [{ targetModules: ["up"], layersPattern: ["layer"] }, "VeRA: layers_pattern says where a layer's number stands"],
])("%j is refused: %s", (options, message) => {
  expect(() => attach(new Toy(4), { method: "vera", ...options } as never)).toThrow(message);
});

it("has no scale, and no form for embeddings", () => {
  const adapter = attach(new Toy(4), { method: "vera", r: 2, targetModules: ["up"] });
  expect(() => adapter.scaleBy(2)).toThrow("scaleBy: VeRA has no scale");
  class Table extends Module {
    t: Embedding = new Embedding(4, 3);
  }
  expect(() => attach(new Table(), { method: "vera", targetModules: ["t"] })).toThrow(
    "VeRA on the embedding t: PEFT has no form for it",
  );
});
