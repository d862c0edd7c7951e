/** What trains, and what takes part, when several adapters live on one model. */
import { Embedding, LayerNorm, Linear, Module, Projection, type Weight } from "@lowrank/nn";
import { init, ops, type Device, type Tensor } from "@lowrank/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { activate, adapt, attach, loadAdapter, saveAdapter, type Adapter } from "../src/index.ts";
import { enlarge, input, stir } from "./helpers.ts";
import { MemoryFiles } from "./memory-files.ts";
import { Toy } from "./toy.ts";

let device: Device;
beforeAll(async () => {
  device = await init({ device: "reference" });
});
afterAll(() => device.close());

const trained = (model: Module): string[] =>
  [...model.namedWeights()].flatMap(([name, { trainable }]) => (trainable ? [name] : []));

it("a second adapter's copies train like the first's, whichever is active", () => {
  const model = new Toy(4, { layers: 1 });
  attach(model, { r: 1, targetModules: ["up"], taskType: "SEQ_CLS" }, "first");
  attach(model, { r: 1, targetModules: ["up"], taskType: "SEQ_CLS" }, "second");
  expect(() => attach(model, { r: 1, targetModules: ["down"] }, "second")).toThrow(
    'there is an adapter "second" on this model already',
  );
  const of = (name: string): string[] =>
    [
      "layer.0.up.lora_A.NAME.weight",
      "layer.0.up.lora_B.NAME.weight",
      "classifier.modules_to_save.NAME.weight",
      "classifier.modules_to_save.NAME.bias",
    ].map((n) => n.replace("NAME", name));
  expect(trained(model)).toEqual(of("second"));
  activate(model, "first");
  expect(trained(model)).toEqual(of("first"));
  activate(model, "second");
  expect(trained(model)).toEqual(of("second"));
});

it.each(["lora_only", "all"] as const)("biases of %s train when their adapter is active, and only then", (bias) => {
  const model = new Toy(4, { layers: 2 });
  const first = attach(model, { r: 1, targetModules: ["up"], bias }, "first");
  const biases = (): string[] => trained(model).filter((n) => n.endsWith("bias"));
  const own = biases();
  expect(own).toHaveLength(bias === "all" ? 5 : 2);
  const second = attach(model, { r: 1, targetModules: ["up"] }, "second");
  expect(biases()).toEqual([]);
  activate(model, "first");
  expect(biases()).toEqual(own);
  activate(model, "second");
  expect(biases()).toEqual([]);
  activate(model, "second", "first");
  expect(biases()).toEqual(own);
  expect(first.warnings).toEqual([]);
  expect(second.warnings).toEqual([
    `adapter first trains biases of the base (bias "${bias}"), which this one computes with and its file will not hold`,
  ]);
});

it.each(["none", "lora_only", "all"] as const)(
  "biases of the base are not trained beside an adapter with bias %s, as in PEFT; the model stays as it was",
  async (bias) => {
    const model = new Toy(4);
    await model.materialize({ device, seed: 1 });
    const first = await adapt(model, { r: 1, targetModules: ["up"], bias }, { device, name: "first" });
    const [before, names] = [[...(await model.forward(input(device, 2, 4)).floats())], trained(model)];
    for (const second of ["lora_only", "all"] as const) {
      await expect(
        adapt(model, { r: 1, targetModules: ["down"], bias: second }, { device, name: "second" }),
      ).rejects.toThrow(
        `bias "${second}" trains biases of the base, which adapter first on this model computes with too; as in PEFT only a model's first adapter may: set bias to "none", or delete first`,
      );
    }
    expect(trained(model)).toEqual(names);
    expect([...(await model.forward(input(device, 2, 4)).floats())]).toEqual(before);
    await first.delete();
    expect(
      (await adapt(model, { r: 1, targetModules: ["down"], bias: "all" }, { device, name: "second" })).warnings,
    ).toEqual([]);
  },
);

it("disabling lies in disabling, and takes one adapter of several", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom("a", "b"), { maxLength: 4 }),
      fc.boolean(),
      fc.boolean(),
      async (nested, offA, offB) => {
        const model = new Toy(4);
        await model.materialize({ device, seed: 1 });
        enlarge(model.weights().filter((w) => w.shape.length === 2));
        const x = input(device, 2, 4);
        const value = async (): Promise<number[]> => [...(await model.forward(x).floats())];
        const results = new Map([["", await value()]]);
        const adapters = new Map<string, Adapter>();
        for (const [i, name] of ["a", "b"].entries()) {
          const adapter = await adapt(
            model,
            { r: 2, targetModules: i === 0 ? ["up"] : ["up", "down"], modulesToSave: ["classifier"] },
            { device, seed: i, name },
          );
          stir(adapter, i);
          enlarge(
            [...adapter.copies.values()].flatMap((copy) => copy.weights()),
            0.3 + i,
          );
          adapters.set(name, adapter);
          results.set(name, await value());
        }
        activate(model, "a", "b");
        results.set("ab", await value());
        const expected = (off: ReadonlySet<string>): number[] =>
          results.get([...adapters.keys()].filter((n) => !off.has(n)).join(""))!;
        const explicit = new Set([...(offA ? ["a"] : []), ...(offB ? ["b"] : [])]);
        for (const name of explicit) adapters.get(name)!.disable();
        const run = async (rest: readonly string[], off: ReadonlySet<string>): Promise<void> => {
          expect(await value()).toEqual(expected(off));
          const [name, ...others] = rest;
          if (name === undefined) return;
          await adapters.get(name)!.disabled(() => run(others, new Set([...off, name])));
          expect(await value()).toEqual(expected(off));
        };
        await run(nested, explicit);
        for (const adapter of adapters.values()) adapter.enable();
        expect(await value()).toEqual(results.get("ab"));
        model.dispose();
      },
    ),
    { numRuns: 12 },
  );
});

it("an adapter that cannot start leaves the others as they were: active, trained, merged", async () => {
  const model = new Toy(4);
  await model.materialize({ device, seed: 1 });
  const first = await adapt(
    model,
    { r: 2, targetModules: ["up"], modulesToSave: ["classifier"] },
    { device, name: "first" },
  );
  stir(first, 1);
  await first.merge();
  const [before, names] = [[...(await model.forward(input(device, 2, 4)).floats())], trained(model)];
  await expect(
    adapt(model, { r: 5, targetModules: ["down"], initLora: "pissa" }, { device, name: "second" }),
  ).rejects.toThrow("rank 5 is more than");
  expect(trained(model)).toEqual(names);
  expect(first.layers.get("layer.0.up")!.merged).toBe(true);
  expect([...(await model.forward(input(device, 2, 4)).floats())]).toEqual(before);
  expect(model.layer[0]!.down).toBeInstanceOf(Linear);
});

it("merging an adapter that takes no part is refused instead of merging others", async () => {
  const model = new Toy(4);
  await model.materialize({ device, seed: 1 });
  const first = await adapt(model, { r: 2, targetModules: ["up"] }, { device, name: "first" });
  await adapt(model, { r: 2, targetModules: ["up"] }, { device, name: "second" });
  await expect(first.merge()).rejects.toThrow("merge: adapter first takes no part on layer.0.up");
  activate(model, "first");
  first.disable();
  await expect(first.merge()).rejects.toThrow("takes no part");
});

it("norms and tables that are trained whole compute with their copies, and go into the merged model", async () => {
  class Norm extends Module {
    norm: LayerNorm = new LayerNorm(4);
    up: Projection = new Linear(4, 4);
    forward(x: Tensor): Tensor {
      return this.up.forward(this.norm.forward(x));
    }
  }
  const model = new Norm();
  await model.materialize({ device, seed: 1 });
  const x = input(device, 2, 4);
  const base = [...(await model.forward(x).floats())];
  const adapter = await adapt(model, { r: 1, targetModules: ["up"], modulesToSave: ["norm"] }, { device });
  expect([...(await model.forward(x).floats())]).toEqual(base);
  enlarge(adapter.copies.get("norm")!.weights());
  const changed = [...(await model.forward(x).floats())];
  expect(changed).not.toEqual(base);
  expect([...(await adapter.disabled(() => model.forward(x).floats()))]).toEqual(base);
  await adapter.mergeAndUnload();
  expect(model.norm).toBeInstanceOf(LayerNorm);
  expect([...(await ops.cast(model.forward(x), "f64").floats())]).toEqual(changed);
});

/** An output layer without a weight of its own. */
class TableReader extends Projection {
  readonly #table: Weight;
  readonly bias: Weight | undefined = undefined;
  readonly fanInFanOut = false;

  constructor(table: Weight) {
    super();
    this.#table = table;
  }
  get weight(): Weight {
    return this.#table;
  }
  get inFeatures(): number {
    return this.weight.shape[1]!;
  }
  get outFeatures(): number {
    return this.weight.shape[0]!;
  }
  forward(x: Tensor): Tensor {
    return ops.linear(x, this.weight.value);
  }
}

class TiedDecoder extends Module {
  readonly embed_tokens: Embedding = new Embedding(7, 4);
  readonly layer: Linear[] = [new Linear(4, 4)];
  readonly lm_head: TableReader = new TableReader(this.embed_tokens.weight);

  forward(ids: Tensor): Tensor {
    return this.lm_head.forward(this.layer[0]!.forward(this.embed_tokens.forward(ids)));
  }
}

it("a tied output layer that is trained whole gets a copy of the table, which stays as it was, as in PEFT", async () => {
  const ids = device.tensor([1, 5, 2], [1, 3], "i32");
  const options = { r: 2, targetModules: ["0"], modulesToSave: ["lm_head"] };
  const [model, again, files] = [new TiedDecoder(), new TiedDecoder(), new MemoryFiles()];
  for (const each of [model, again]) await each.materialize({ device, seed: 1 });
  const logits = async (of: TiedDecoder): Promise<number[]> => [...(await of.forward(ids).floats())];
  const before = await logits(model);

  const adapter = await adapt(model, options, { device });
  expect(await logits(model)).toEqual(before);
  const copy = [...model.namedWeights()].find(([name]) => name === "lm_head.modules_to_save.default.weight")![1];
  expect([copy.shape, copy.trainable, model.embed_tokens.weight.trainable]).toEqual([[7, 4], true, false]);
  const table = await model.embed_tokens.weight.parameter.data();
  copy.parameter.write(Float64Array.from(await copy.parameter.data(), (v) => Math.fround(v + 0.5)));
  expect(await model.embed_tokens.weight.parameter.data()).toEqual(table);
  const after = await logits(model);
  expect(after).not.toEqual(before);

  // one weight in a checkpoint cannot be both
  await expect(adapter.mergeAndUnload()).rejects.toThrow(
    "mergeAndUnload: lm_head, trained apart (modules_to_save), is embed_tokens in this model, whose checkpoint has one weight for both; keep the adapter apart, or untie the two",
  );
  expect(await logits(model)).toEqual(after);

  await saveAdapter(adapter, files);
  await loadAdapter(again, files, { device });
  expect(await logits(again)).toEqual(after);
  await adapter.delete();
  expect(await logits(model)).toEqual(before);
});
