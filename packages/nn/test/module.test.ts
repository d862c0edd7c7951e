/** The module tree: names, freezing, models without memory, fresh values. */
import { compile, init, ops, type Device, type StoredTensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Dropout, Rngs, Embedding, LayerNorm, Linear, Module } from "../src/index.ts";

class Block extends Module {
  dense: Linear;
  readonly LayerNorm: LayerNorm;
  constructor() {
    super();
    this.dense = new Linear(3, 3);
    this.LayerNorm = new LayerNorm(3);
  }
}

class Net extends Module {
  readonly embeddings = new Embedding(5, 3);
  readonly layer = [new Block(), new Block()];
  readonly classifier = new Linear(3, 2, { bias: false });
}

describe("a module tree", () => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: "wasm", threads: 1 });
  });
  afterAll(() => device.close());

  it("that does not fit into memory says so before any of it is there", async () => {
    class Wide extends Module {
      readonly layer = Array.from({ length: 5 }, () => new Linear(2 ** 15, 2 ** 13, { bias: false }));
    }
    const before = device.memory();
    await expect(new Wide().materialize({ device })).rejects.toThrow(/^wasm: out of memory: 5\.00 GiB more do not fit/);
    expect(device.memory()).toEqual(before);
  });

  it("trains and is evaluated by turns without being captured again", async () => {
    const [net, dropout] = [new Net(), new Dropout(0.5)];
    await net.materialize({ device });
    const keys = new Rngs(device, 1);
    const traced = { train: 0, evaluate: 0 };
    const run = (mode: "train" | "evaluate") =>
      compile(device, ({ ids }) => {
        traced[mode]++;
        for (const module of [net, dropout]) {
          if (mode === "train") module.train(keys);
          else module.eval();
        }
        keys.restart();
        return { sum: ops.sum(dropout.forward(net.classifier.forward(net.embeddings.forward(ids!)))) };
      });
    const [train, evaluate] = [run("train"), run("evaluate")];
    const ids = { data: Int32Array.of(0, 1, 2, 3), shape: [4] };
    const sums = new Set<number>();
    for (let i = 0; i < 6; i++) {
      await train({ ids });
      sums.add(await (await evaluate({ ids })).sum.item());
    }
    expect(sums.size).toBe(1);
    const known = { ...traced };
    for (let i = 0; i < 4; i++) for (const step of [train, evaluate]) await step({ ids });
    expect(traced).toEqual(known);
    // a change that is no switch is looked at again
    net.classifier.weight.computesIn = "f16";
    await evaluate({ ids });
    expect(traced.evaluate).toBe(known.evaluate + 1);
  });

  it("names weights by their path", () => {
    expect([...new Net().namedWeights()].map(([n]) => n)).toEqual([
      "embeddings.weight",
      "layer.0.dense.weight",
      "layer.0.dense.bias",
      "layer.0.LayerNorm.weight",
      "layer.0.LayerNorm.bias",
      "layer.1.dense.weight",
      "layer.1.dense.bias",
      "layer.1.LayerNorm.weight",
      "layer.1.LayerNorm.bias",
      "classifier.weight",
    ]);
  });

  it("finds and replaces modules inside lists", () => {
    const net = new Net();
    const other = new Linear(3, 3);
    net.setModule("layer.1.dense", other);
    expect(net.getModule("layer.1.dense")).toBe(other);
    const block = new Block();
    net.setModule("layer.0", block);
    expect(net.layer[0]).toBe(block);
    expect(() => net.getModule("layer.1.dens")).toThrow(/there is no module "layer.1.dens"; near it: /);
  });

  it("freezes by name, prefix, suffix and pattern, and says when nothing matches", () => {
    const net = new Net();
    net.freeze();
    net.unfreeze("classifier");
    net.unfreeze(/LayerNorm/);
    net.unfreeze((n) => n === "embeddings.weight");
    expect([...net.namedWeights()].filter(([, w]) => w.trainable).map(([n]) => n)).toEqual([
      "embeddings.weight",
      "layer.0.LayerNorm.weight",
      "layer.0.LayerNorm.bias",
      "layer.1.LayerNorm.weight",
      "layer.1.LayerNorm.bias",
      "classifier.weight",
    ]);
    expect(() => net.freeze("clasifier")).toThrow(/freeze: clasifier matches no weight; near it: .*classifier/);
    net.freeze();
    expect(() => net.unfreeze(["classifier", "embedings"])).toThrow(/unfreeze: embedings matches no weight/);
    expect(net.trainableWeights()).toEqual([]);
    net.unfreeze(["classifier", "LayerNorm"]);
    expect(net.trainableWeights().length).toBeGreaterThan(2);
  });

  it("freezes all that a pattern matches, whatever flags it has", () => {
    for (const flags of ["", "g", "y", "gy"]) {
      const net = new Net();
      const pattern = new RegExp("[^]*(weight|bias)", flags);
      for (let again = 0; again < 2; again++) expect(net.unfreeze().freeze(pattern).trainableWeights()).toEqual([]);
    }
  });

  it("takes no memory until it is materialized", async () => {
    const before = device.memory().persistent;
    const net = new Net();
    expect(device.memory().persistent).toBe(before);
    expect(() => net.classifier.weight.value).toThrow(/has no values yet; call model.materialize/);
    await net.materialize({ device });
    expect(device.memory().persistent - before).toBe(4 * net.weights().reduce((n, w) => n + w.size, 0));
    net.dispose();
    expect(device.memory().persistent).toBe(before);
  });

  it("draws fresh values from the seed and the name alone", async () => {
    const [a, b, c] = [new Net(), new Net(), new Net()];
    await a.materialize({ device, seed: 1 });
    await b.materialize({ device, seed: 1 });
    await c.materialize({ device, seed: 2 });
    expect(await a.classifier.weight.parameter.data()).toEqual(await b.classifier.weight.parameter.data());
    expect(await a.classifier.weight.parameter.data()).not.toEqual(await c.classifier.weight.parameter.data());
    expect(await a.layer[0]!.dense.weight.parameter.data()).not.toEqual(
      await a.layer[1]!.dense.weight.parameter.data(),
    );
    for (const net of [a, b, c]) net.dispose();
  });

  it("copies its state to another tree and names what does not meet", async () => {
    const [a, b] = [new Net(), new Net()];
    await a.materialize({ device, seed: 1 });
    await b.materialize({ device, seed: 2 });
    const state = await a.stateDict();
    b.loadStateDict(state);
    expect(await b.stateDict()).toEqual(state);
    state.delete("classifier.weight");
    expect(() => b.loadStateDict(state)).toThrow(/missing classifier.weight; unexpected nothing/);
    expect(b.loadStateDict(state, { strict: false }).missing).toEqual(["classifier.weight"]);
    state.set("layer.0.dense.bias", { dtype: "f32", shape: [4], data: new Float32Array(4) });
    expect(() => b.loadStateDict(state, { strict: false })).toThrow(
      /layer.0.dense.bias: values are \[4\], the model wants \[3\]/,
    );
  });
});

describe("dropout", () => {
  it("needs keys, scales what it keeps, is off in eval, and draws new masks at every execution", async () => {
    const device = await init({ device: "wasm", threads: 1 });
    const drop = new Dropout(0.25);
    const ones = device.full([4000], 1);
    drop.train();
    expect(() => drop.forward(ones)).toThrow(/no random keys/);
    drop.train(new Rngs(device, 3));
    const y = await drop.forward(ones).floats();
    const kept = y.filter((v) => v !== 0);
    expect(new Set(kept)).toEqual(new Set([Math.fround(1 / 0.75)]));
    // five standard deviations of a binomial
    expect(Math.abs(kept.length - 3000)).toBeLessThan(5 * Math.sqrt(4000 * 0.25 * 0.75));
    expect(await drop.forward(ones).floats()).not.toEqual(y);
    expect(drop.eval().forward(ones)).toBe(ones);
    device.close();
  });

  it("draws what a whole batch would where its parts say where they begin and in which step", async () => {
    const device = await init({ device: "wasm", threads: 1 });
    const keys = new Rngs(device, 3);
    const drop = new Dropout(0.5).train(keys);
    const draw = compile(device, ({ x }) => {
      keys.restart();
      return { y: drop.forward(x!) };
    });
    const rows = async (first: number, count: number, step: number): Promise<number[]> => {
      [keys.step, keys.firstRow] = [step, first];
      const { y } = await draw({ x: { data: new Float32Array(count * 10).fill(1), shape: [count, 10] } });
      expect(keys.step).toBe(step + 1);
      return [...(await y.floats())];
    };
    const whole = await rows(0, 6, 4);
    expect([...(await rows(0, 2, 4)), ...(await rows(2, 4, 4))]).toEqual(whole);
    expect(await rows(0, 6, 5)).not.toEqual(whole);
    expect(draw.info()).toHaveLength(3);
    for (const bad of [-1, 0.5, 2 ** 31, NaN])
      expect(() => {
        keys.firstRow = bad;
      }).toThrow(`the first row must be a whole number below 2^31, got ${bad}`);
    device.close();
  });

  it("gives the same masks on the reference", async () => {
    const masks = [];
    for (const name of ["wasm", "reference"] as const) {
      const device = await init({ device: name, threads: 1 });
      const drop = new Dropout(0.5).train(new Rngs(device, 3));
      masks.push(Array.from(await drop.forward(device.full([7, 9], 1)).floats()));
      device.close();
    }
    expect(masks[0]).toEqual(masks[1]);
  });
});

it("refuses values that a narrower weight cannot hold, by name", async () => {
  const device = await init({ device: "wasm", threads: 1 });
  const net = new Linear(2, 1, { bias: false });
  await net.materialize({ device, storage: () => "f16" });
  const values = (...data: number[]): Map<string, StoredTensor> =>
    new Map([["weight", { dtype: "f32", shape: [1, 2], data: Float32Array.from(data) }]]);
  expect(() => net.loadStateDict(values(1, 1e6))).toThrow("weight: element 1, 1000000, is too large for f16");
  net.loadStateDict(values(1, 2));
  expect([...(await net.weight.value.floats())]).toEqual([1, 2]);
  device.close();
});

it.each(["f32", "i32", "f64"] as const)(
  "materializes no %s value that a narrower weight cannot hold",
  async (dtype) => {
    const device = await init({ device: "wasm", threads: 1 });
    const data =
      dtype === "i32" ? Int32Array.of(1, 1e6) : dtype === "f32" ? Float32Array.of(1, 1e6) : Float64Array.of(1, 1e6);
    const values = new Map<string, StoredTensor>([["weight", { dtype, shape: [1, 2], data }]]);
    const source = { has: (n: string) => values.has(n), read: (n: string) => Promise.resolve(values.get(n)!) };
    const said = "weight: element 1, 1000000, is too large for f16, in which the weight is kept";
    await expect(
      new Linear(2, 1, { bias: false }).materialize({ device, dtype: "f16", values: source }),
    ).rejects.toThrow(said);
    await expect(
      new Linear(2, 1, { bias: false }).materialize({ device, storage: () => "f16", values: source }),
    ).rejects.toThrow(said);
    const wide = new Linear(2, 1, { bias: false });
    await wide.materialize({ device, values: source });
    expect([...(await wide.weight.value.floats())]).toEqual([1, 1e6]);
    device.close();
  },
);
