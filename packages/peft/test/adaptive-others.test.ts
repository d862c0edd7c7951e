/** The allocators beside AdaLoRA: by size of contribution, and by variance of inputs. */
import { Linear, Module } from "@lowrank/nn";
import { init, ops, RandomStream, svd, type Device, type Tensor } from "@lowrank/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { adaLoraConfig, adapt, explainedVariance, inputDirections, magnitudeBudget, tripletsOf } from "../src/index.ts";
import { feed, gradientsOf, loose } from "./adaptive.ts";

class Two extends Module {
  wide: Linear | Module = new Linear(6, 5);
  narrow: Linear | Module = new Linear(6, 4);
  forward(x: Tensor, z: Tensor): Tensor {
    return ops.add(ops.sum((this.wide as Linear).forward(x)), ops.sum((this.narrow as Linear).forward(z)));
  }
}

describe.each([
  ["reference", 1e-10],
  ["wasm", 1e-5],
] as const)("other allocators on %s", (name, tolerance) => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: name, threads: 1 });
  });
  afterAll(() => device.close());

  it("keep the largest contributions |e|·‖b‖·‖a‖ of all modules together", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }),
        fc.nat({ max: 10_000 }),
        async (ranks, seed) => {
          const layers = loose(device, ranks, seed);
          const sizes: { m: number; k: number; size: number }[] = [];
          for (const [m, { a, b, e }] of layers.entries()) {
            const [av, bv, ev] = [await a.value.floats(), await b.value.floats(), await e.value.floats()];
            const [r, n] = a.shape as [number, number];
            for (let k = 0; k < r; k++)
              sizes.push({
                m,
                k,
                size:
                  Math.abs(ev[k]!) *
                  Math.hypot(...av.subarray(k * n, (k + 1) * n)) *
                  Math.hypot(...Array.from({ length: b.shape[0]! }, (_, o) => bv[o * r + k]!)),
              });
          }
          const method = magnitudeBudget(layers, { totalSteps: 1, targetRank: 1 });
          method.check(await feed(device, method, () => 0));
          const best = new Set(
            sizes
              .sort((x, y) => y.size - x.size)
              .slice(0, ranks.length)
              .map(({ m, k }) => `m${m}/${k}`),
          );
          for (const [module, mask] of await method.masks())
            mask.forEach((lives, k) => {
              expect(lives).toBe(best.has(`${module}/${k}`));
            });
          expect((await method.finish()).method).toBe("magnitude");
          method.dispose();
        },
      ),
      { numRuns: 15 },
    );
  });

  /** Rows [count, 6] whose variance lies in `rank` random directions, around a mean that explains nothing. */
  function rows(seed: number, count: number, rank: number): Float64Array {
    const stream = new RandomStream(seed, `rows/${rank}`);
    const basis = Array.from({ length: rank * 6 }, () => stream.normal());
    return Float64Array.from({ length: count }, () => 0).length === 0
      ? new Float64Array(0)
      : Float64Array.from(
          (function* (): Generator<number> {
            for (let i = 0; i < count; i++) {
              const c = Array.from({ length: rank }, () => stream.normal());
              for (let j = 0; j < 6; j++) yield 3 + c.reduce((sum, v, k) => sum + v * basis[k * 6 + j]!, 0);
            }
          })(),
        );
  }

  it("find the directions of each module's inputs, padding left out, and give ranks to those that explain most", async () => {
    const model = new Two();
    await model.materialize({ device, seed: 1 });
    const adapter = await adapt(
      model,
      { targetModules: ["wide", "narrow"], adaLora: adaLoraConfig({ initR: 4, targetR: 2, totalStep: 5 }) },
      { device, seed: 1 },
    );
    const layers = tripletsOf(adapter);
    const batches = [1, 2].map((seed) => ({
      x: rows(seed, 20, 6),
      z: rows(7, 20, 2),
      counts: Uint8Array.from({ length: 20 }, (_, i) => Number(i < 15)),
    }));
    const before = await model
      .forward(device.tensor(batches[0]!.x, [20, 6]), device.tensor(batches[0]!.z, [20, 6]))
      .item();
    const inputs = await inputDirections(model, layers, device, {
      batches,
      modulesAtOnce: 1,
      forward: ({ x, z, counts }) => {
        model.forward(device.tensor(x, [20, 6]), device.tensor(z, [20, 6]));
        return ops.cast(device.tensor(counts), "bool");
      },
    });
    expect(model.getModule("wide")).toBe(adapter.layers.get("wide"));
    for (const [module, key] of [
      ["wide", "x"],
      ["narrow", "z"],
    ] as const) {
      const counted = batches.flatMap((b) => Array.from(b[key].subarray(0, 15 * 6)));
      const mean = Array.from(
        { length: 6 },
        (_, j) => counted.filter((__, i) => i % 6 === j).reduce((a, b) => a + b, 0) / 30,
      );
      const centred = Float64Array.from(counted, (v, i) => v - mean[i % 6]!);
      const { s, v } = svd(centred, 30, 6);
      const total = s.reduce((sum, q) => sum + q * q, 0);
      const { ratios, directions } = inputs.get(module)!;
      ratios.forEach((r, k) => {
        expect(Math.abs(r - (s[k]! * s[k]!) / total)).toBeLessThanOrEqual(10 * tolerance);
        // directions of no variance are any; the sign of the others is free
        const along = Math.abs(
          Array.from({ length: 6 }, (_, j) => directions[k * 6 + j]! * v[j * 6 + k]!).reduce((a, b) => a + b, 0),
        );
        if (r > 0.01) expect(along).toBeGreaterThan(1 - 100 * tolerance);
      });
    }
    // narrow's inputs have two directions, so it gets two ranks of the four, if wide's best two explain more than nothing
    const method = await explainedVariance(layers, inputs, { totalSteps: 5, targetRank: 2 });
    expect(
      await model.forward(device.tensor(batches[0]!.x, [20, 6]), device.tensor(batches[0]!.z, [20, 6])).item(),
    ).toBe(before);
    const weights = layers.flatMap(({ a, b, e }) => [a, b, e]);
    for (let t = 1; t <= 5; t++) {
      const report = method.afterStep(
        gradientsOf(
          weights,
          weights,
          weights.map((w) => w.value),
        ),
      );
      await device.realize(report);
      expect(method.check(await report.floats()).kept).toBe(4);
    }
    expect((await method.finish()).modules.map(({ module, kept }) => [module, kept])).toEqual([
      ["wide", 2],
      ["narrow", 2],
    ]);
    method.dispose();
    model.dispose();
  });

  it("say what is wrong with calibration", async () => {
    const model = new Two();
    await model.materialize({ device, seed: 2 });
    const adapter = await adapt(
      model,
      { targetModules: ["wide", "narrow"], adaLora: adaLoraConfig({ initR: 2, targetR: 1, totalStep: 5 }) },
      { device, seed: 2 },
    );
    const layers = tripletsOf(adapter);
    const run = (forward: () => undefined): Promise<unknown> =>
      inputDirections(model, layers, device, { batches: [0], forward });
    await expect(run(() => undefined)).rejects.toThrow(/nothing went into wide during calibration/);
    const same = device.tensor(new Float64Array(12).fill(1), [2, 6]);
    await expect(run(() => void model.forward(same, same))).rejects.toThrow(/what goes into wide does not vary/);
    expect(model.getModule("narrow")).toBe(adapter.layers.get("narrow"));
    await expect(explainedVariance(layers, new Map(), { totalSteps: 5, targetRank: 1 })).rejects.toThrow(
      /no input directions of wide/,
    );
    model.dispose();
  });
});
