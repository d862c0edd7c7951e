/** Starts, several adapters on one model, quantised and half-precision bases, embeddings, imports. */
import { Conv1D, Embedding, Linear, Module } from "@lowrank/nn";
import { quantise } from "@lowrank/quant";
import { init, ops, RandomStream, serialize, type Device, type Tensor } from "@lowrank/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { activate, adapt, attach, combine, familyRanks, loadMlxAdapter, LoraUpdate, qr, svd, type LoraAdapter, type LoraConfig } from "../src/index.ts";
import { MemoryFiles } from "./memory-files.ts";
import { Toy } from "./toy.ts";

const matrix = fc.record({ m: fc.integer({ min: 1, max: 7 }), n: fc.integer({ min: 1, max: 7 }), seed: fc.nat({ max: 999 }), low: fc.boolean() });

function random(count: number, seed: number): Float64Array {
  const out = new Float64Array(count);
  new RandomStream(seed, "matrix").fillNormal(out, 0, 1);
  return out;
}

describe("decompositions", () => {
  it("svd: A = U·S·Vᵀ with orthonormal sides, low rank included", () => {
    fc.assert(fc.property(matrix, ({ m, n, seed, low }) => {
      const a = low ? (() => { const [x, y] = [random(m, seed), random(n, seed + 1)]; return Float64Array.from({ length: m * n }, (_, i) => x[Math.floor(i / n)]! * y[i % n]!); })() : random(m * n, seed);
      const { u, s, vt } = svd(a, m, n);
      const k = Math.min(m, n);
      for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) expect(Array.from({ length: k }, (_, r) => u[i * k + r]! * s[r]! * vt[r * n + j]!).reduce((x, y) => x + y, 0)).toBeCloseTo(a[i * n + j]!, 11);
      for (let r = 1; r < k; r++) expect(s[r]!).toBeLessThanOrEqual(s[r - 1]!);
      if (low) for (let r = 1; r < k; r++) expect(s[r]!).toBeLessThan(1e-12 * s[0]!);
    }));
  });

  it("qr: A = Q·R, Q orthonormal", () => {
    fc.assert(fc.property(matrix, ({ m, n, seed }) => {
      const [rows, cols] = [Math.max(m, n), Math.min(m, n)];
      const a = random(rows * cols, seed);
      const { q, r } = qr(a, rows, cols);
      for (let i = 0; i < cols; i++) for (let j = 0; j < cols; j++) expect(Array.from({ length: rows }, (_, o) => q[o * cols + i]! * q[o * cols + j]!).reduce((x, y) => x + y, 0)).toBeCloseTo(i === j ? 1 : 0, 10);
      for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) expect(Array.from({ length: cols }, (_, k) => q[i * cols + k]! * r[k * cols + j]!).reduce((x, y) => x + y, 0)).toBeCloseTo(a[i * cols + j]!, 10);
    }));
  });
});

describe.each([["reference", 1e-12], ["wasm", 2e-5]] as const)("on %s", (name, tolerance) => {
  let device: Device;
  beforeAll(async () => { device = await init({ device: name, threads: 1 }); });
  afterAll(() => device.close());

  const input = (rows: number, size: number): Tensor => device.tensor(random(rows * size, 5), [rows, size]);
  const close = (a: Float64Array, b: Float64Array): void => a.forEach((v, i) => expect(Math.abs(v - b[i]!)).toBeLessThanOrEqual(tolerance * (1 + Math.abs(v)) * 4));
  const stir = (adapter: LoraAdapter, seed: number): void => {
    for (const update of adapter.updates.values()) {
      const { b } = update as LoraUpdate;
      const values = random(b.size, seed).map((v) => 0.3 * v);
      b.parameter.write(name === "wasm" ? Float32Array.from(values) : values);
    }
  };

  async function toy(conv = false): Promise<Toy> {
    const model = new Toy(6, { conv });
    await model.materialize({ device, seed: 2 });
    // larger weights than BERT's 0.02, so that updates show
    for (const w of model.weights()) if (w.shape.length === 2) w.parameter.write(name === "wasm" ? Float32Array.from(random(w.size, w.size).map((v) => 0.4 * v)) : random(w.size, w.size).map((v) => 0.4 * v));
    return model;
  }

  it.each([["pissa"], ["olora"], ["orthogonal"], ["gaussian"], [true]] as const)("L1: init %s starts as the base, and A is not zero", async (initLora) => {
    for (const conv of [false, true]) {
      const model = await toy(conv);
      const base = await model.forward(input(3, 6)).floats();
      const adapter = await adapt(model, { r: 2, alpha: 6, targetModules: ["up", "down"], initLora }, { device, seed: 4 });
      close(await model.forward(input(3, 6)).floats(), base);
      for (const update of adapter.updates.values()) expect((await (update as LoraUpdate).a.value.floats()).some((v) => v !== 0)).toBe(true);
    }
  });

  it.each([[{}], [{ dora: true }], [{ rsLora: true }], [{ loraBias: true }]] as Partial<LoraConfig>[][])("L2, L3: %j merges to the same function and back to the same bytes", async (method) => {
    for (const conv of [false, true]) {
      const model = await toy(conv);
      const adapter = await adapt(model, { r: 2, alpha: 4, targetModules: ["up", "down"], ...method }, { device, seed: 4 });
      stir(adapter, 9);
      const adapted = await model.forward(input(4, 6)).floats();
      const before = await adapter.layers.get("layer.0.up")!.weight.parameter.data();
      if (method!.loraBias === true) continue;
      const reports = await adapter.merge({ safe: true });
      expect(reports).toHaveLength(4);
      close(await model.forward(input(4, 6)).floats(), adapted);
      adapter.unmerge();
      expect(await adapter.layers.get("layer.0.up")!.weight.parameter.data()).toEqual(before);
    }
  });

  it("several adapters: one at a time, both, a weighted sum of them, none", async () => {
    const model = await toy();
    const x = input(3, 6);
    const base = await model.forward(x).floats();
    const first = await adapt(model, { r: 2, alpha: 2, targetModules: ["up"] }, { device, seed: 1, name: "first" });
    stir(first, 1);
    const withFirst = await model.forward(x).floats();
    const second = await adapt(model, { r: 3, alpha: 6, targetModules: ["up"] }, { device, seed: 2, name: "second" });
    stir(second, 2);
    const withSecond = await model.forward(x).floats();
    expect([...first.model.namedWeights()].filter(([n, w]) => w.trainable && n.includes(".first."))).toHaveLength(0);
    activate(model, "first");
    expect(await model.forward(x).floats()).toEqual(withFirst);
    activate(model, "first", "second");
    const both = await model.forward(x).floats();
    await combine([[first, 1], [second, 1]], "sum", { device });
    close(await model.forward(x).floats(), both);
    await combine([[first, 0.5], [second, 0]], "half", { device });
    const half = await model.forward(x).floats();
    activate(model, "first");
    first.scaleBy(0.5);
    close(await model.forward(x).floats(), half);
    activate(model, "second");
    expect(await model.forward(x).floats()).toEqual(withSecond);
    expect(await second.disabled(() => model.forward(x).floats())).toEqual(base);
    second.delete();
    expect([...model.namedWeights()].some(([n]) => n.includes(".second."))).toBe(false);
    expect(() => activate(model, "second")).toThrow("no adapter called second");
    expect(() => attach(model, { r: 1, targetModules: ["up"] }, "first")).toThrow('there is an adapter "first"');
  });

  it("a quantised base is adapted, and merged only where that is said", async () => {
    class Wide extends Module {
      up: Linear | Module = new Linear(64, 64);
      readonly head: Linear = new Linear(64, 2);
      forward(x: Tensor): Tensor { return this.head.forward((this.up as Linear).forward(x)); }
    }
    const model = new Wide();
    await model.materialize({ device, seed: 2 });
    await quantise(model);
    const adapter = await adapt(model, { r: 2, alpha: 4, targetModules: ["up"] }, { device, seed: 4 });
    stir(adapter, 3);
    const adapted = await model.forward(input(3, 64)).floats();
    await expect(adapter.merge()).rejects.toThrow('kept as nf4; say merge({ into: "dequantised" })');
    await adapter.merge({ into: "dequantised" });
    close(await model.forward(input(3, 64)).floats(), adapted);
    expect(() => adapter.unmerge()).toThrow("was quantised before the merge");
  });

  it("an embedding: rows of Aᵀ times B", async () => {
    class Words extends Module {
      table: Embedding = new Embedding(10, 4);
      forward(ids: Tensor): Tensor { return this.table.forward(ids); }
    }
    const model = new Words();
    await model.materialize({ device, seed: 1 });
    const ids = device.tensor(Int32Array.of(3, 9, 3), [3]);
    const base = await model.forward(ids).floats();
    const adapter = await adapt(model, { r: 2, alpha: 6, targetModules: ["table"] }, { device, seed: 1 });
    expect(await model.forward(ids).floats()).toEqual(base);
    const { a, b } = adapter.updates.get("table") as LoraUpdate;
    const values = random(a.size, 8);
    a.parameter.write(name === "wasm" ? Float32Array.from(values) : values);
    const [av, bv] = [await a.value.floats(), await b.value.floats()];
    const want = Float64Array.from(base, (v, i) => v + 3 * [0, 1].reduce((s, k) => s + av[k * 10 + [3, 9, 3][Math.floor(i / 4)]!]! * bv[(i % 4) * 2 + k]!, 0));
    close(await model.forward(ids).floats(), want);
    expect([...adapter.fileWeights().keys()]).toEqual(["base_model.model.table.lora_embedding_A", "base_model.model.table.lora_embedding_B"]);
  });

  it("an mlx-lm adapter: transposed factors, absolute scale", async () => {
    const model = await toy();
    const [a, b] = [Float32Array.from(random(6 * 2, 1)), Float32Array.from(random(2 * 12, 2))];
    const files = new MemoryFiles([
      ["adapter_config.json", new TextEncoder().encode(JSON.stringify({ fine_tune_type: "lora", lora_parameters: { rank: 2, scale: 5, dropout: 0 } }))],
      ["adapters.safetensors", serialize({ "layer.0.up.lora_a": { dtype: "f32", shape: [6, 2], data: a }, "layer.0.up.lora_b": { dtype: "f32", shape: [2, 12], data: b } })],
    ]);
    const adapter = await loadMlxAdapter(model, files, { device });
    const delta = await adapter.layers.get("layer.0.up")!.delta().floats();
    for (let o = 0; o < 12; o++) for (let i = 0; i < 6; i++) expect(Math.abs(delta[o * 6 + i]! - 5 * (a[i * 2]! * b[o]! + a[i * 2 + 1]! * b[12 + o]!))).toBeLessThan(1e-4);
  });
});

it("alpha is kept, or the scale is, under a rank pattern; biases train as asked", () => {
  const table = (config: Partial<LoraConfig>): number[] => attach(new Toy(4), { r: 8, alpha: 16, targetModules: ["up", "down"], rankPattern: { up: 4 }, ...config }).table.map((r) => r.scale);
  expect(table({})).toEqual([4, 2, 4, 2]);
  expect(table({ alphaMode: "constantScaling" })).toEqual([2, 2, 2, 2]);
  const biases = (bias: LoraConfig["bias"]): number => {
    const model = new Toy(4);
    attach(model, { r: 1, targetModules: ["up"], bias });
    return [...model.namedWeights()].filter(([n, w]) => n.endsWith("bias") && w.trainable).length;
  };
  expect([biases("none"), biases("lora_only"), biases("all")]).toEqual([0, 2, 5]);
  expect(() => familyRanks("t5", { attention: 1 })).toThrow('no words for the parts of "t5"');
  expect(new Conv1D(2, 2).fanInFanOut).toBe(true);
});
