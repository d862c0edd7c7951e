/** What must hold of LoRA on any device and size (properties L1–L12 of the specification that concern it). */
import { Conv1D, Linear, type Projection } from "@lowrank/nn";
import { grad, init, ops, RandomStream, type Device, type Tensor } from "@lowrank/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { adapt, AdaptedProjection, attach, LoraUpdate } from "../src/index.ts";
import { Toy } from "./toy.ts";

const shape = fc.record({
  size: fc.integer({ min: 1, max: 6 }),
  r: fc.integer({ min: 1, max: 4 }),
  alpha: fc.integer({ min: 1, max: 16 }),
  seed: fc.nat({ max: 1000 }),
  conv: fc.boolean(),
});

/** A and B of the one adapter on a layer. */
const factors = (layer: AdaptedProjection): LoraUpdate => layer.updates.get("default") as LoraUpdate;

describe.each([
  ["reference", 1e-12],
  ["wasm", 2e-5],
] as const)("LoRA on %s", (name, tolerance) => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: name, threads: 1 });
  });
  afterAll(() => device.close());

  function input(rows: number, size: number, seed: number): Tensor {
    const values = new Float64Array(rows * size);
    new RandomStream(seed, "x").fillNormal(values, 0, 1);
    return device.tensor(values, [rows, size]);
  }

  /** Values in the memory form of the device's float. */
  function memory(count: number, draw: (i: number) => number): Float32Array | Float64Array {
    const numbers = Array.from({ length: count }, (_, i) => draw(i));
    return name === "wasm" ? Float32Array.from(numbers) : Float64Array.from(numbers);
  }

  /** Gives B values too, so that the adapter does something. */
  function stir(layers: Iterable<AdaptedProjection>, seed: number): void {
    const stream = new RandomStream(seed, "stir");
    for (const layer of layers)
      factors(layer).b.parameter.write(memory(factors(layer).b.size, () => 0.5 * stream.normal()));
  }

  const close = (a: Float64Array, b: Float64Array): boolean =>
    a.every((v, i) => Math.abs(v - b[i]!) <= tolerance * (1 + Math.abs(v)));

  it("changes nothing at first, only trains adapter and head, and merges to the same function", async () => {
    await fc.assert(
      fc.asyncProperty(shape, async ({ size, r, alpha, seed, conv }) => {
        const model = new Toy(size, { conv });
        await model.materialize({ device, seed });
        const x = input(3, size, seed);
        const base = await model.forward(x).floats();
        const adapter = await adapt(
          model,
          { r, alpha, targetModules: ["up", "down"], modulesToSave: ["classifier"] },
          { device, seed },
        );
        // f32 kernels may sum in another order when a product's reader changes: exact in f64, two orders' rounding in f32
        if (name === "reference") expect(await model.forward(x).floats()).toEqual(base);
        else expect(close(base, await model.forward(x).floats())).toBe(true);
        const trained = [...model.namedWeights()].filter(([, w]) => w.trainable).map(([n]) => n);
        expect(trained.every((n) => n.includes("lora_") || n.startsWith("classifier.modules_to_save.default."))).toBe(
          true,
        );
        expect(trained).toHaveLength(2 * 2 * 2 + 2);

        stir(adapter.layers.values(), seed);
        const adapted = await model.forward(x).floats();
        const pristine = await adapter.layers.get("layer.0.up")!.weight.parameter.data();
        await adapter.merge({ safe: true });
        await adapter.merge();
        expect(close(adapted, await model.forward(x).floats())).toBe(true);
        adapter.unmerge();
        expect(await adapter.layers.get("layer.0.up")!.weight.parameter.data()).toEqual(pristine);
        expect(await model.forward(x).floats()).toEqual(adapted);
        adapter.disable();
        expect(await model.forward(x).floats()).toEqual(base);
        adapter.enable();
        expect(await model.forward(x).floats()).toEqual(adapted);
        model.dispose();
      }),
      { numRuns: 12 },
    );
  });

  it("scales by alpha/r or alpha/√r, linearly", async () => {
    await fc.assert(
      fc.asyncProperty(shape, fc.boolean(), async ({ size, r, alpha, seed }, rsLora) => {
        const model = new Toy(size, { layers: 1 });
        await model.materialize({ device, seed });
        const adapter = await adapt(model, { r, alpha, rsLora, targetModules: ["up"] }, { device, seed });
        expect(adapter.table[0]!.scale).toBe(rsLora ? alpha / Math.sqrt(r) : alpha / r);
        stir(adapter.layers.values(), seed);
        const layer = adapter.layers.get("layer.0.up")!;
        const x = input(2, size, seed);
        const base = await layer.base.forward(x).floats();
        const once = (await layer.forward(x).floats()).map((v, i) => v - base[i]!);
        layer.updates.get("default")!.scale *= 2;
        const twice = (await layer.forward(x).floats()).map((v, i) => v - base[i]!);
        expect(
          close(
            once.map((v) => 2 * v),
            twice,
          ),
        ).toBe(true);
        model.dispose();
      }),
      { numRuns: 10 },
    );
  });

  it("is the same on a transposed weight: Conv1D(W) and Linear(Wᵀ)", async () => {
    const linear = new Linear(4, 6);
    const conv = new Conv1D(4, 6);
    await linear.materialize({ device, seed: 1 });
    await conv.materialize({ device, seed: 1 });
    const w = await linear.weight.value.floats();
    conv.weight.parameter.write(memory(24, (i) => w[(i % 6) * 4 + Math.floor(i / 6)]!));
    const wrap = async (base: Projection): Promise<AdaptedProjection> => {
      const layer = new AdaptedProjection(base);
      layer.add("default", new LoraUpdate(layer.site, { rank: 2, scale: 1.5, dropout: 0 }));
      await layer.materialize({ device, seed: 9 });
      stir([layer], 4);
      return layer;
    };
    const [a, b] = [await wrap(linear), await wrap(conv)];
    const x = input(3, 4, 2);
    const [ya, yb] = [a.forward(x), b.forward(x)];
    expect(close(await ya.floats(), await yb.floats())).toBe(true);
    const deltas = [await a.delta().floats(), await ops.transpose(b.delta()).floats()];
    expect(close(deltas[0]!, deltas[1]!)).toBe(true);
  });

  it("refuses to merge what is not finite, and writes nothing", async () => {
    const model = new Toy(2, { layers: 1 });
    await model.materialize({ device, seed: 1 });
    const adapter = await adapt(model, { r: 1, alpha: 1, targetModules: ["up"] }, { device, seed: 1 });
    const layer = adapter.layers.get("layer.0.up")!;
    const before = await layer.weight.parameter.data();
    const { b } = factors(layer);
    b.parameter.write(memory(b.size, () => NaN));
    await expect(adapter.merge({ safe: true })).rejects.toThrow(/would hold values that are not finite/);
    expect(await layer.weight.parameter.data()).toEqual(before);
  });
});

it("an update of rank r has rank r: its (r + 1)-minors vanish", async () => {
  const device = await init({ device: "reference" });
  const layer = new AdaptedProjection(new Linear(5, 4));
  layer.add("default", new LoraUpdate(layer.site, { rank: 1, scale: 2, dropout: 0 }));
  await layer.materialize({ device, seed: 3 });
  factors(layer).b.parameter.write(Float64Array.of(1, -2, 0.5, 3));
  const d = await layer.delta().floats();
  for (let i = 0; i < 3; i++)
    for (let j = 0; j < 4; j++)
      expect(Math.abs(d[i * 5 + j]! * d[(i + 1) * 5 + j + 1]! - d[i * 5 + j + 1]! * d[(i + 1) * 5 + j]!)).toBeLessThan(
        1e-12,
      );
});

it("gives gradients to the adapter alone: none are built for the frozen base", async () => {
  const device = await init({ device: "reference" });
  const model = new Toy(3);
  await model.materialize({ device, seed: 1 });
  const adapter = await adapt(model, { r: 2, targetModules: ["up"] }, { device, seed: 1 });
  const loss = ops.sum(ops.square(model.forward(device.full([2, 3], 0.5))));
  const { a, b } = factors(adapter.layers.get("layer.0.up")!);
  expect((await grad(loss, [a.parameter])[0]!.floats()).every((v) => v === 0)).toBe(true); // B is zero
  expect((await grad(loss, [b.parameter])[0]!.floats()).some((v) => v !== 0)).toBe(true);
});

it("attaching twice to a name that is gone is an error that lists what there is", () => {
  expect(() => attach(new Toy(2), { targetModules: ["query"] })).toThrow(
    /target modules "query" match nothing; the model has up, down, classifier/,
  );
});
