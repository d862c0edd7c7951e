/** IA³ against the formula on the host, and what PEFT's class says about names. */
import { Conv1D, Embedding, Linear, Module, type Projection } from "@lowrank/nn";
import { quantize } from "@lowrank/quant";
import { init, ops, type Device, type Tensor } from "@lowrank/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  activate,
  adapt,
  attach,
  combine,
  ia3,
  loadAdapter,
  parseAdapterConfig,
  saveAdapter,
  type Ia3Update,
} from "../src/index.ts";
import { familyOf } from "./family.ts";
import { input, random, stir, write } from "./helpers.ts";
import { MemoryFiles } from "./memory-files.ts";
import { Toy } from "./toy.ts";

class One extends Module {
  l: Projection;
  constructor(inFeatures: number, outFeatures: number, conv: boolean) {
    super();
    this.l = conv ? new Conv1D(inFeatures, outFeatures) : new Linear(inFeatures, outFeatures);
  }
}

/** l_out ⊙ (W(l_in ⊙ x) + b) in f64, x [n, in], W [out, in]. */
function formula(
  x: Float64Array,
  w: Float64Array,
  b: Float64Array,
  { lin, lout }: { lin: Float64Array; lout: Float64Array },
): Float64Array {
  const [inner, outer] = [lin.length, lout.length];
  return Float64Array.from({ length: (x.length / inner) * outer }, (_, at) => {
    const [row, o] = [Math.floor(at / outer), at % outer];
    let sum = b[o]!;
    for (let i = 0; i < inner; i++) sum += w[o * inner + i]! * (lin[i]! * x[row * inner + i]!);
    return lout[o]! * sum;
  });
}

describe.each([["reference"], ["wasm"]] as const)("IA³ on %s", (name) => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: name, threads: 1 });
  });
  afterAll(() => device.close());

  it("starts as the base to the bit, is the formula, merges to it within rounding and comes off to the same bytes", async () => {
    // n + 4 roundings on the way to a sum of n products, either way round (Higham 2002, chapter 3)
    const u = name === "reference" ? 2 ** -53 : 2 ** -24;
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 1, max: 7 }),
        fc.boolean(),
        fc.boolean(),
        fc.integer({ min: 1, max: 1000 }),
        async (inner, outer, conv, feedforward, seed) => {
          const model = new One(inner, outer, conv);
          await model.materialize({ device, seed });
          write(model.l.bias!, random(outer, seed));
          const x = input(device, 3, inner, seed);
          const base = await model.l.forward(x).floats();
          const matrix = conv ? ops.transpose(model.l.weight.value) : model.l.weight.value;
          const [w, b] = [await matrix.floats(), await model.l.bias!.value.floats()];
          const adapter = await adapt(
            model,
            { method: "ia3", targetModules: ["l"], feedforwardModules: feedforward ? ["l"] : [] },
            { device, seed },
          );
          expect(adapter.report().trainable).toBe(feedforward ? inner : outer);
          expect(await model.l.forward(x).floats()).toEqual(base);
          stir(adapter, seed);
          const l = await (adapter.updates.get("l") as Ia3Update).l.value.floats();
          const ones = (count: number): Float64Array => new Float64Array(count).fill(1);
          const vectors = feedforward ? { lin: l, lout: ones(outer) } : { lin: ones(inner), lout: l };
          const rows = await x.floats();
          const want = formula(rows, w, b, vectors);
          const positive = (v: Float64Array): Float64Array => v.map(Math.abs);
          const bound = formula(positive(rows), positive(w), positive(b), {
            lin: positive(vectors.lin),
            lout: positive(vectors.lout),
          }).map((v) => 2 * (inner + 4) * u * v);
          const close = (got: Float64Array): void =>
            got.forEach((v, i) => expect(Math.abs(v - want[i]!)).toBeLessThanOrEqual(bound[i]!));
          const [weight, bias] = [await model.l.weight.parameter.data(), await model.l.bias!.parameter.data()];
          close(await model.l.forward(x).floats());
          await adapter.merge({ safe: true });
          close(await model.l.forward(x).floats());
          adapter.unmerge();
          expect(await model.l.weight.parameter.data()).toEqual(weight);
          expect(await model.l.bias!.parameter.data()).toEqual(bias);
          model.dispose();
        },
      ),
      { numRuns: 12 },
    );
  });

  it("several on a layer multiply, one rests while it is disabled, and files hold each alone", async () => {
    const model = new Toy(3);
    await model.materialize({ device, seed: 1 });
    const config = { method: "ia3", targetModules: ["up", "down"], feedforwardModules: ["down"] } as const;
    const [a, b] = [
      await adapt(model, config, { device, name: "a" }),
      await adapt(model, config, { device, name: "b" }),
    ];
    stir(a, 3);
    stir(b, 9);
    const x = input(device, 2, 3);
    const value = async (m: Toy): Promise<Float64Array> => m.forward(x).floats();
    activate(model, "a", "b");
    const both = await value(model);
    const merged = new Toy(3);
    await merged.materialize({ device, seed: 1 });
    const product = await adapt(merged, config, { device });
    for (const [path, update] of product.updates) {
      const vectors = await Promise.all([a, b].map((one) => (one.updates.get(path) as Ia3Update).l.value.floats()));
      write(
        (update as Ia3Update).l,
        vectors[0]!.map((v, i) => v * vectors[1]![i]!),
      );
    }
    (await value(merged)).forEach((v, i) => expect(v).toBeCloseTo(both[i]!, name === "reference" ? 12 : 4));
    await a.disabled(async () => {
      const files = new MemoryFiles();
      await saveAdapter(b, files);
      const other = new Toy(3);
      await other.materialize({ device, seed: 1 });
      await loadAdapter(other, files, { device });
      const [got, want] = [await value(other), await value(model)];
      got.forEach((v, i) => expect(v).toBeCloseTo(want[i]!, 5));
    });
    expect(await value(model)).toEqual(both);
    model.dispose();
    merged.dispose();
  });
});

it("on a four-bit base it scales what the dequantized matrix gives, and merging into it is refused as LoRA's is", async () => {
  const device = await init({ device: "reference" });
  for (const feedforwardModules of [[], ["l"]]) {
    const model = new (class extends One {
      // what is last stays as it is
      readonly head: Linear = new Linear(64, 2);
    })(64, 64, false);
    await model.materialize({ device, seed: 2 });
    await quantize(model);
    const w = await model.l.weight.value.floats();
    const b = await model.l.bias!.value.floats();
    const adapter = await adapt(model, { method: "ia3", targetModules: ["l"], feedforwardModules }, { device });
    stir(adapter, 5);
    const l = await (adapter.updates.get("l") as Ia3Update).l.value.floats();
    const x = input(device, 2, 64);
    const ones = new Float64Array(64).fill(1);
    const want = formula(
      await x.floats(),
      w,
      b,
      feedforwardModules.length === 0 ? { lin: ones, lout: l } : { lin: l, lout: ones },
    );
    const check = async (): Promise<void> =>
      (await model.l.forward(x).floats()).forEach((v, i) => expect(v).toBeCloseTo(want[i]!, 12));
    await check();
    await expect(adapter.merge()).rejects.toThrow('l.weight is kept as nf4; say merge({ into: "dequantized" })');
    await adapter.merge({ into: "dequantized" });
    await check();
    expect(() => adapter.unmerge()).toThrow("was quantized before the merge");
    model.dispose();
  }
  device.close();
});

const toy = (): Toy => new Toy(4);
const scales = (options: object): string[] =>
  attach(toy(), { method: "ia3", ...options }).table.map(({ module, scales: which }) => `${module} ${which}`);

it("feed-forward modules go by the end of a path, at a dot or not, or by a regular expression for all of it", () => {
  expect(scales({ targetModules: ["up", "down"], feedforwardModules: [] })).toEqual(
    ["0.up", "0.down", "1.up", "1.down"].map((path) => `layer.${path} output`),
  );
  expect(scales({ targetModules: "layer.*", feedforwardModules: ["own"] })).toEqual([
    "layer.0.up output",
    "layer.0.down input",
    "layer.1.up output",
    "layer.1.down input",
  ]);
  expect(scales({ targetModules: ["up"], feedforwardModules: "layer\\.1\\.up" })).toEqual([
    "layer.0.up output",
    "layer.1.up input",
  ]);
});

it.each<[object, string]>([
  [
    { targetModules: ["up"], feedforwardModules: ["down"] },
    'feedforward_modules "down" is not among the target modules up',
  ],
  [
    { targetModules: "layer.*", feedforwardModules: ["dwon"] },
    'feedforward_modules "dwon" matches no target module; did you mean "down"?',
  ],
  [{ targetModules: ["up"], feedforwardModules: "up" }, 'feedforward_modules "up" matches no target module'],
  [{ targetModules: ["up"] }, "PEFT has no default for feedforward_modules of models that say no type"],
  [{}, "no target modules are given, and PEFT's defaults for models that say no type (none)"],
  [{ targetModules: ["up"], r: 8 }, 'IA³: has an unknown key "r"'],
  [{ targetModules: ["up"], feedforward_modules: [] }, 'did you mean "feedforwardModules"?'],
  [{ targetModules: ["up"], layersToTransform: [0] }, 'unknown key "layersToTransform"'],
  [{ targetModules: ["up"], dora: true }, 'the options name method "ia3" and are DoRA\'s; choose one of the two'],
])("%j is refused: %s", (options, message) => {
  expect(() => attach(toy(), { method: "ia3", ...options } as never)).toThrow(message);
});

it("takes the family's modules where nothing is said, and files may leave them out", () => {
  class Known extends Toy {
    override get family() {
      return familyOf({ targets: { lora: [], ia3: ["up", "down"], ia3Feedforward: ["down"] } });
    }
  }
  for (const options of [{ method: ia3 }, parseAdapterConfig({ peft_type: "IA3" })]) {
    const adapter = attach(new Known(4), options);
    expect(adapter.configOf(ia3)).toMatchObject({ targetModules: ["up", "down"], feedforwardModules: ["down"] });
    expect(adapter.report().trainable).toBe(2 * (8 + 8));
  }
});

it("beside targets in other words the family's names are written as an expression, which PEFT reads", async () => {
  class Known extends Toy {
    override get family() {
      return familyOf({ targets: { lora: [], ia3Feedforward: ["layer.0.down", "1.down"] } });
    }
  }
  const device = await init({ device: "reference" });
  const [model, other, files] = [new Known(4), new Toy(4), new MemoryFiles()];
  for (const one of [model, other]) await one.materialize({ device, seed: 1 });
  await saveAdapter(await adapt(model, { method: "ia3", targetModules: ["down"] }, { device }), files);
  const config = JSON.parse(await files.text("adapter_config.json")) as Record<string, unknown>;
  expect(config["feedforward_modules"]).toBe(".*(layer\\.0\\.down|1\\.down)");
  const loaded = await loadAdapter(other, files, { device });
  expect(loaded.table.map((row) => row.scales)).toEqual(["input", "input"]);
  // what PEFT writes there and refuses itself
  const theirs = parseAdapterConfig({ ...config, feedforward_modules: ["0.down"] });
  expect(attach(new Toy(4), theirs).table.map((row) => row.scales)).toEqual(["input", "output"]);
  device.close();
});

it("has no scale, is no sum, has no form for embeddings and does not share a layer with what adds", async () => {
  const device = await init({ device: "reference" });
  const model = new Toy(4);
  await model.materialize({ device });
  const adapter = await adapt(model, { method: "ia3", targetModules: ["up"], feedforwardModules: [] }, { device });
  expect(() => adapter.scaleBy(2)).toThrow("scaleBy: IA³ has no scale");
  expect(() => (adapter.updates.get("layer.0.up")!.scale = 2)).toThrow("ia3 has no scale");
  await expect(combine([[adapter, 1]], "c", { device })).rejects.toThrow("is not a plain LoRA in all of them");
  expect(() => attach(model, { targetModules: ["up"] }, "b")).toThrow(
    "layer.0.up carries adapter default, which is ia3, and lora on the same layer would depend on their order",
  );
  attach(model, { targetModules: ["down"] }, "b");
  class Table extends Module {
    t: Embedding = new Embedding(4, 3);
  }
  expect(() => attach(new Table(), { method: "ia3", targetModules: ["t"], feedforwardModules: [] })).toThrow(
    "IA³ on the embedding t: PEFT has no form for it",
  );
  device.close();
});

it("a narrow input keeps its dtype on its way into the layer", async () => {
  const device = await init({ device: "wasm", threads: 1 });
  const model = new One(3, 2, false);
  await model.materialize({ device });
  await adapt(model, { method: "ia3", targetModules: ["l"], feedforwardModules: ["l"] }, { device });
  const seen: Tensor[] = [];
  const base = (model.l as unknown as { base: Projection }).base;
  const forward = base.forward.bind(base);
  base.forward = (x) => {
    seen.push(x);
    return forward(ops.cast(x, "f32"));
  };
  model.l.forward(ops.cast(input(device, 1, 3), "f16"));
  expect(seen[0]!.dtype).toBe("f16");
  device.close();
});
