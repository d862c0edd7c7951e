/** What the families say of their models is true of the models. */
import { Embedding, endsIn, grad, Projection, type Module } from "@lowrank/nn";
import { init, ops, RandomStream, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { architectures, bareArchitectures, metaModel } from "../src/index.ts";
import { SMALL } from "./small-models.ts";

const SIZES = { vocab: 11, heads: 2, width: 4, layers: 2, positions: 6 };
/** Biases wherever a family may have them. */
const BIASES = { attention_bias: true, mlp_bias: true };

const configOf = (name: string): Record<string, unknown> => {
  const { modelType } = { ...architectures, ...bareArchitectures }[name]!.family;
  return Object.values(SMALL)
    .map((make) => ({ ...make(SIZES), ...BIASES }))
    .find((config) => (config as { model_type?: unknown }).model_type === modelType)!;
};

let device: Device;
beforeAll(async () => {
  device = await init({ device: "reference" });
});
afterAll(() => device.close());

const random = (shape: readonly number[], label: string): Tensor => {
  const values = new Float64Array(shape.reduce((a, b) => a * b, 1));
  new RandomStream(7, label).fillNormal(values, 0, 1);
  return device.tensor(values, shape);
};

describe.each(Object.keys(bareArchitectures))("%s", (name) => {
  const model = metaModel(name, configOf(name));
  const { family } = model;
  const modules = [...model.namedModules()];

  it("has what its adapter methods take by default, each on its own", () => {
    const { targets } = family;
    for (const end of new Set(Object.values(targets).flat()))
      expect(
        modules.some(([path, m]) => m instanceof Projection && endsIn(path, [end])),
        end,
      ).toBe(true);
    for (const end of targets.ia3Feedforward ?? []) expect(targets.ia3).toContain(end);
  });

  it("has its two parts, which share no module and leave out no projection of a layer", () => {
    const ends = (patterns: readonly string[]): string[] =>
      modules.flatMap(([path, m]) =>
        m instanceof Projection && patterns.some((p) => new RegExp(`(^|\\.)(${p})$`).test(path)) ? [path] : [],
      );
    const both = [...ends(family.parts.attention), ...ends(family.parts.ffn)].sort();
    const inLayers = modules.flatMap(([path, m]) => (m instanceof Projection && /\.\d+\./.test(path) ? [path] : []));
    expect(both).toEqual(inLayers.sort());
  });

  it("has its tables: words, and those that are sliced", () => {
    const tables = modules.flatMap(([path, m]) => (m instanceof Embedding ? [[path, m] as const] : []));
    for (const end of [...family.inputEmbeddings, ...family.slicedTables])
      expect(tables.map(([path]) => path).filter((path) => endsIn(path, [end]))).toHaveLength(1);
    for (const [path, table] of tables)
      expect(endsIn(path, family.inputEmbeddings)).toBe(table.weight.shape[0] === SIZES.vocab);
  });

  it("has gradients everywhere but where it says", async () => {
    const own = metaModel(name, configOf(name));
    await own.materialize({ device, seed: 3 });
    // fresh biases are zero, which hides nothing here but would be a special place
    for (const [path, { parameter, shape }] of own.namedWeights())
      if (path.endsWith("bias")) parameter.write(await random(shape, path).floats());
    const inputIds = device.tensor(Int32Array.of(2, 5, 7, 9, 3, 8, 10, 4, 6, 2), [2, 5]);
    const out = (own as unknown as { forward(i: object): Record<string, Tensor> }).forward({ inputIds });
    const results = [out["lastHiddenState"]!, ...(out["pooled"] === undefined ? [] : [out["pooled"]])];
    const loss = results
      .map((r, i) => ops.sum(ops.mul(r, random(r.shape, `out ${i}`))))
      .reduce((a, b) => ops.add(a, b));
    const weights = [...own.namedWeights()];
    const gradients = grad(
      loss,
      weights.map(([, w]) => w.value),
    );
    const free: string[] = [];
    for (const [i, [path]] of weights.entries()) {
      const largest = Math.max(...(await gradients[i]!.floats()).map(Math.abs));
      // f64: sums of some hundred terms of about 1 cancel to well below this, and no other gradient of these models is so small
      if (largest < 1e-10) free.push(path);
    }
    expect(free).toEqual(weights.map(([path]) => path).filter((path) => endsIn(path, family.gradientFree)));
    expect(free.length > 0).toBe(family.gradientFree.length > 0);
  });
});

it.each(Object.keys(architectures))(
  "%s has the heads and output layers that its family names, if it has any",
  (name) => {
    const model = metaModel(name, { ...configOf(name), tie_word_embeddings: false });
    const { family, basePrefix } = model;
    const body = basePrefix.slice(0, -1);
    const outside = (m: Module): string[] =>
      [...m.namedModules()].flatMap(([path, x]) =>
        x instanceof Projection && path !== body && !path.startsWith(basePrefix) ? [path] : [],
      );
    const wide = outside(model).filter((path) => (model.getModule(path) as Projection).outFeatures === SIZES.vocab);
    expect(outside(model).filter((path) => endsIn(path, family.outputEmbeddings))).toEqual(wide);
    const heads = Object.values(family.heads).flat();
    if (wide.length === 0)
      // a pooler is in the head's place where the family's base has none, and is not trained with it
      expect(
        outside(model).filter((path) => !["pooler", ...heads].some((h) => path === h || path.startsWith(`${h}.`))),
      ).toEqual([]);
  },
);
