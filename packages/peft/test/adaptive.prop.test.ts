/** What must hold of rank allocation on any device and size: properties A1–A12 of the specification. */
import type { Weight } from "@lowrank/nn";
import { grad, init, ops, RandomStream, type Device } from "@lowrank/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  adalora,
  adaLora,
  adaLoraConfig,
  adapt,
  BudgetSchedule,
  loadAdapter,
  magnitudeBudget,
  orthogonality,
  resizeAdapter,
  saveAdapter,
  tripletsOf,
  type AdaLoraOptions,
  type Triplets,
} from "../src/index.ts";
import { batch, feed, loose, stirred, trainer, write } from "./adaptive.ts";
import { MemoryFiles } from "./memory-files.ts";
import { Toy } from "./toy.ts";

const schedule = fc
  .record({
    totalSteps: fc.integer({ min: 2, max: 400 }),
    tinit: fc.nat({ max: 200 }),
    tfinal: fc.nat({ max: 200 }),
    deltaT: fc.integer({ min: 1, max: 20 }),
    target: fc.integer({ min: 1, max: 50 }),
    extra: fc.nat({ max: 80 }),
  })
  .filter((s) => s.tinit < s.totalSteps - s.tfinal);

describe("a budget schedule", () => {
  it("never rises, is whole before tinit and at its target from the final choice on (A1)", () => {
    fc.assert(
      fc.property(schedule, ({ target, extra, ...options }) => {
        const plan = new BudgetSchedule(options);
        const steps = Array.from({ length: options.totalSteps }, (_, i) => plan.at(i + 1, target + extra, target));
        steps.forEach((s, i) => {
          if (i > 0) expect(s.budget).toBeLessThanOrEqual(steps[i - 1]!.budget);
          if (s.step <= options.tinit) expect([s.budget, s.select]).toEqual([target + extra, false]);
          if (s.step >= plan.finalStep) expect(s.budget).toBe(target);
          expect(s.observe).toBe(s.step < plan.finalStep);
        });
        expect(steps[plan.finalStep - 1]!.select).toBe(true);
      }),
    );
  });

  it("takes fractions of the training, and refuses what leaves nothing to decide", () => {
    const plan = new BudgetSchedule({ totalSteps: 6315, tinit: 0.12, tfinal: 0.43, deltaT: 10 });
    expect([plan.tinit, plan.tfinal, plan.finalStep]).toEqual([758, 2715, 3600]);
    expect(() => new BudgetSchedule({ totalSteps: 10, tinit: 5, tfinal: 5 })).toThrow(
      /tinit 5 and tfinal 5 leave no step of 10/,
    );
    expect(() => new BudgetSchedule({ totalSteps: 10, tinit: 1.5 })).toThrow(/whole number of steps or a fraction/);
    expect(() => new BudgetSchedule({ totalSteps: 10, deltaT: 0 })).toThrow(
      /deltaT must be a whole number of at least 1, got 0/,
    );
  });
});

// f32 keeps 24 bits: 12 steps of averages, products and means stay within some ten roundings of 6e-8 each
describe.each([
  ["reference", 1e-12],
  ["wasm", 2e-6],
] as const)("rank allocation on %s", (name, tolerance) => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: name, threads: 1 });
  });
  afterAll(() => device.close());

  const runs = { numRuns: name === "reference" ? 25 : 12 };
  const close = (got: ArrayLike<number>, want: readonly number[]): void =>
    want.forEach((v, i) => {
      expect(Math.abs(got[i]! - v)).toBeLessThanOrEqual(tolerance * Math.max(1, Math.abs(v)));
    });
  const sizes = fc.record({
    ranks: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }),
    seed: fc.nat({ max: 10_000 }),
  });

  /** Gradients of one step: standard normal numbers. */
  function normals(seed: number, step: number): (w: Weight, i: number) => number {
    const values = new Map<string, RandomStream>();
    const drawn = new Map<string, number[]>();
    return (w, i) => {
      const stream = values.get(w.name) ?? new RandomStream(seed, `${w.name}/${step}`);
      values.set(w.name, stream);
      const list = drawn.get(w.name) ?? [];
      drawn.set(w.name, list);
      while (list.length <= i) list.push(stream.normal());
      return list[i]!;
    };
  }

  const masksOf = async (method: {
    masks(): Promise<ReadonlyMap<string, readonly boolean[]>>;
  }): Promise<Record<string, readonly boolean[]>> => Object.fromEntries(await method.masks());

  it("leaves exactly the budget in strict mode, at most that in peft mode, and masked E exactly zero (A2)", async () => {
    await fc.assert(
      fc.asyncProperty(
        sizes.filter(({ ranks }) => ranks.some((r) => r > 1)),
        fc.constantFrom("strict" as const, "peft" as const),
        async ({ ranks, seed }, compat) => {
          const layers = loose(device, ranks, seed);
          const method = adaLora(layers, { totalSteps: 8, tinit: 1, tfinal: 2, deltaT: 2, targetRank: 1, compat });
          for (let t = 1; t <= 8; t++) {
            const before = await Promise.all(layers.map(({ e }) => e.value.floats()));
            const { selected, budget, kept } = method.check(await feed(device, method, normals(seed, t)));
            const masks = await method.masks();
            if (selected) expect(kept <= budget && (compat === "peft" || kept === budget)).toBe(true);
            for (const [m, { name: module, e }] of layers.entries()) {
              const after = await e.value.floats();
              masks.get(module)!.forEach((lives, k) => {
                if (selected || t > 6) expect(after[k]).toBe(lives ? before[m]![k] : 0);
              });
            }
            // between choices the optimizer moves E off zero again
            if (t < 6)
              for (const { e } of layers)
                write(
                  e,
                  Array.from(await e.value.floats(), (v) => v + 0.01),
                );
          }
          expect(await method.finish()).toMatchObject({
            calls: 8,
            finalizedAt: 6,
            ...(compat === "strict" ? { kept: ranks.length } : {}),
          });
          method.dispose();
        },
      ),
      runs,
    );
  });

  it("averages as the closed form says (A3)", async () => {
    await fc.assert(
      fc.asyncProperty(
        sizes,
        fc.double({ min: 0, max: 0.99, noNaN: true }),
        fc.double({ min: 0, max: 0.99, noNaN: true }),
        async ({ ranks, seed }, beta1, beta2) => {
          const layers = loose(device, ranks, seed);
          const method = adaLora(layers, { totalSteps: 20, tinit: 10, targetRank: 1, beta1, beta2 });
          const { a } = layers[0]!;
          const value = await a.value.floats();
          const impacts: number[][] = [];
          const spread = value.map(() => 0);
          for (let t = 1; t <= 6; t++) {
            const gradient = normals(seed, t);
            method.check(await feed(device, method, gradient));
            impacts.push(Array.from(value, (v, i) => Math.abs(v * gradient(a, i))));
            const smooth = value.map((_, i) =>
              impacts.reduce((sum, now, k) => sum + (1 - beta1) * beta1 ** (impacts.length - 1 - k) * now[i]!, 0),
            );
            spread.forEach((u, i) => {
              spread[i] = beta2 * u + (1 - beta2) * Math.abs(impacts.at(-1)![i]! - smooth[i]!);
            });
            close(await method.state().get("sensitivity.m0.lora_A")!.value.floats(), Array.from(smooth));
            close(await method.state().get("uncertainty.m0.lora_A")!.value.floats(), Array.from(spread));
          }
          method.dispose();
        },
      ),
      runs,
    );
  });

  /** Masks after six steps in which nothing trains. */
  async function masksAfter(
    layers: readonly Triplets[],
    seed: number,
    options: Partial<AdaLoraOptions> = {},
    change: (w: Weight, i: number, g: number, step: number) => number = (_w, _i, g) => g,
  ): Promise<Record<string, readonly boolean[]>> {
    const method = adaLora(layers, { totalSteps: 6, targetRank: 1, ...options });
    for (let t = 1; t <= 6; t++) {
      const gradient = normals(seed, t);
      method.check(await feed(device, method, (w, i) => change(w, i, gradient(w, i), t)));
    }
    const masks = await masksOf(method);
    method.dispose();
    return masks;
  }

  it("does not care for the order of modules and of ranks (A5)", async () => {
    await fc.assert(
      fc.asyncProperty(sizes, async ({ ranks, seed }) => {
        const plain = await masksAfter(loose(device, ranks, seed), seed);
        // the same triplets with ranks reversed in every module and modules reversed
        const turned = loose(device, ranks, seed);
        const back = (w: Weight, part: string, i: number): number => {
          const [rows, columns] = w.shape as [number, number];
          const [row, column] = [Math.floor(i / columns), i % columns];
          return part === "b" ? row * columns + (columns - 1 - column) : (rows - 1 - row) * columns + column;
        };
        const part = new Map<Weight, string>();
        for (const layer of turned)
          for (const key of ["a", "b", "e"] as const) {
            const values = await layer[key].value.floats();
            part.set(layer[key], key);
            write(
              layer[key],
              Array.from(values, (_, i) => values[back(layer[key], key, i)]!),
            );
          }
        const method = adaLora([...turned].reverse(), { totalSteps: 6, targetRank: 1 });
        for (let t = 1; t <= 6; t++) {
          const gradient = normals(seed, t);
          method.check(await feed(device, method, (w, i) => gradient(w, back(w, part.get(w)!, i))));
        }
        const masks = await masksOf(method);
        expect(Object.fromEntries(Object.entries(masks).map(([m, mask]) => [m, [...mask].reverse()]))).toEqual(plain);
        method.dispose();
      }),
      runs,
    );
  });

  it("does not care for a constant scale of the gradients, but for one that changes on the way (A6)", async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: -6, max: 12 }), async ({ ranks, seed }, power) => {
        const plain = await masksAfter(loose(device, ranks, seed), seed);
        // powers of two change no digit, so even near ties stay as they are
        expect(await masksAfter(loose(device, ranks, seed), seed, {}, (_w, _i, g) => g * 2 ** power)).toEqual(plain);
      }),
      runs,
    );
    // that is why a loss scaler's factor has to be taken out first: one triplet mattered early, the other matters now
    const kept = async (early: number): Promise<readonly boolean[]> => {
      const [layer] = loose(device, [2], 1);
      write(layer!.e, [1, 1]);
      const masks = await masksAfter([layer!], 1, { tinit: 4, beta1: 0.2, beta2: 0.2 }, (w, i, _g, t) =>
        w !== layer!.e ? 0 : t <= 3 ? [early, 0.1][i]! : [0.1, 1][i]!,
      );
      return masks["m0"]!;
    };
    expect(await kept(1)).toEqual([false, true]);
    expect(await kept(4096)).toEqual([true, false]);
  });

  it("throws on zero gradients in strict mode and masks everything in peft mode (A7)", async () => {
    for (const compat of ["strict", "peft"] as const) {
      const layers = loose(device, [3, 3], 5);
      const method = adaLora(layers, { totalSteps: 4, targetRank: 1, compat });
      const report = await feed(device, method, () => 0);
      if (compat === "strict") {
        expect(() => method.check(report)).toThrow(/adalora, step 1: the gradient of every lora_E is zero/);
        await expect(method.finish()).rejects.toThrow(/step 1: the gradient of every lora_E is zero/);
        for (const { e } of layers) expect((await e.value.floats()).every((v) => v !== 0)).toBe(true);
      } else {
        expect(method.check(report).kept).toBe(0);
        for (const { e } of layers) expect((await e.value.floats()).every((v) => v === 0)).toBe(true);
      }
      method.dispose();
    }
  });

  it("names a module that no gradient reaches, and a weight that has none", async () => {
    const layers = loose(device, [2, 3, 2], 6);
    const method = adaLora(layers, { totalSteps: 4, tinit: 1, targetRank: 1 });
    const half = normals(6, 1);
    const gradient = (w: Weight, i: number): number => (w.name === "m1.lora_E" ? 0 : half(w, i));
    method.check(await feed(device, method, gradient));
    const report = await feed(device, method, gradient);
    expect(() => method.check(report)).toThrow(/step 2: no gradient has reached m1 since training began/);
    const some = new Map(
      layers
        .flatMap(({ a, b, e }) => [a, b, e])
        .filter((w) => w.name !== "m2.lora_B")
        .map((w) => [w, w.value]),
    );
    expect(() => method.afterStep({ raw: some, clipped: some })).toThrow(/m2\.lora_B has no gradient/);
    device.pending.clear();
    method.dispose();
  });

  it("refuses scores that are all zero or not finite", async () => {
    const layers = loose(device, [2, 2], 7);
    for (const { e } of layers) write(e, [0, 0]);
    const sizesOnly = magnitudeBudget(layers, { totalSteps: 2, targetRank: 1 });
    const zero = await feed(device, sizesOnly, () => 1);
    expect(() => sizesOnly.check(zero)).toThrow(/magnitude, step 1: all scores are zero/);
    const method = adaLora(loose(device, [2, 2], 7), { totalSteps: 2, targetRank: 1 });
    const bad = await feed(device, method, (w, i) => (w.name === "m1.lora_A" && i === 0 ? Infinity : 1));
    expect(() => method.check(bad)).toThrow(/step 1: a score is not finite/);
    sizesOnly.dispose();
    method.dispose();
  });

  it("breaks ties by module, then by index, in strict mode; peft mode drops them all", async () => {
    for (const [compat, kept] of [
      [
        "strict",
        [
          [true, true],
          [false, false],
        ],
      ],
      [
        "peft",
        [
          [false, false],
          [false, false],
        ],
      ],
    ] as const) {
      const layers = loose(device, [2, 2], 8);
      for (const { a, b, e } of layers) for (const w of [a, b, e]) write(w, Array<number>(w.size).fill(1));
      // (4 − 2)·(2/3)³ + 2 is 2 at the first of three steps
      const method = adaLora(layers, { totalSteps: 3, targetRank: 1, compat });
      method.check(await feed(device, method, () => 1));
      expect(Object.values(await masksOf(method))).toEqual(kept);
      method.dispose();
    }
  });

  it("refuses a target above what there is, and in peft mode one equal to it, on which PEFT fails", () => {
    const layers = loose(device, [2, 2], 9);
    expect(() => adaLora(layers, { totalSteps: 4, targetRank: 3 })).toThrow(
      /target of 6 \(3 × 2 modules\) is more than the 4 ranks/,
    );
    expect(() => adaLora(layers, { totalSteps: 4, targetRank: 2, compat: "peft" })).toThrow(
      /initial and target budget are both 4; PEFT fails/,
    );
  });

  it("trains in a compiled step that is replayed, with the regularizer in the objective alone (A11, A12)", async () => {
    const model = await stirred(device, 11);
    const method = adaLora(model.layers, {
      totalSteps: 12,
      tinit: 2,
      tfinal: 3,
      deltaT: 2,
      targetRank: 1,
      orthRegWeight: 0.1,
    });
    const { run } = trainer(model, method, device, 0.02);
    const { x, y } = batch(device, 11);
    const kept: number[] = [];
    for (let t = 1; t <= 12; t++) {
      const weighted = 0.1 * (await orthogonality(model.layers).item());
      const before = await ops
        .mse(model.forward(device.tensor(x.data, x.shape)), device.tensor(y.data, y.shape))
        .item();
      const { total, task, report } = await run(x, y);
      expect(Math.abs(total - task - weighted)).toBeLessThanOrEqual(tolerance * 10);
      expect(Math.abs(task - before)).toBeLessThanOrEqual(tolerance * 10);
      kept.push(report[0]!);
      if (t === 8)
        await expect(method.finish()).rejects.toThrow(
          /training ended after 8 steps, before the final choice at step 9 \(totalSteps 12 − tfinal 3\)/,
        );
    }
    // tinit 2: nothing at 2; 1 − 2/7 of the way left at step 4: ⌊4·(5/7)³ + 2⌋ = 3; then 2
    expect(kept).toEqual([6, 6, 6, 3, 3, 2, 2, 2, 2, 2, 2, 2]);
    const record = await method.finish();
    expect(record).toMatchObject({
      calls: 12,
      kept: 2,
      finalizedAt: 9,
      initialBudget: 6,
      targetBudget: 2,
      choices: [
        [4, 3],
        [6, 2],
        [8, 2],
        [9, 2],
      ],
    });
    expect(record.budgets).toEqual([6, 6, 4, 3, 2, 2, 2, 2, 2, 2, 2, 2]);
    for (const { name: module, e } of model.layers) {
      const mask = record.modules.find((m) => m.module === module)!.mask;
      (await e.value.floats()).forEach((v, k) => {
        expect(v !== 0).toBe(mask[k]);
      });
    }
    method.dispose();
    model.dispose();
  });

  it("changes nothing in a step that is skipped, and does not count it", async () => {
    const layers = loose(device, [3, 3], 12);
    const method = adaLora(layers, { totalSteps: 3, targetRank: 1 });
    const gradient = normals(12, 1);
    const map = new Map(
      layers
        .flatMap(({ a, b, e }) => [a, b, e])
        .map((w) => [
          w,
          device.tensor(
            Array.from({ length: w.size }, (_, i) => gradient(w, i)),
            w.shape,
          ),
        ]),
    );
    const before = await Promise.all(
      [...method.state().values(), ...layers.map(({ e }) => e.parameter)].map((p) => p.data()),
    );
    const report = method.afterStep({ raw: map, clipped: map }, device.tensor(new Uint8Array([0]), [], "bool"));
    await device.realize(report);
    method.revoke();
    expect(method.steps).toBe(0);
    expect(
      await Promise.all([...method.state().values(), ...layers.map(({ e }) => e.parameter)].map((p) => p.data())),
    ).toEqual(before);
    method.dispose();
  });

  it("has no regularizer at orthonormal factors, with a finite slope, and the known gradient elsewhere (A10)", async () => {
    const [one] = loose(device, [2], 13, [4, 3]);
    write(one!.a, [1, 0, 0, 0, 0, 0, 1, 0]);
    write(one!.b, [1, 0, 0, 1, 0, 0]);
    const flat = orthogonality([one!]);
    expect(await flat.item()).toBe(0);
    for (const g of grad(flat, [one!.a.parameter, one!.b.parameter]))
      expect((await g.floats()).every((v) => v === 0)).toBe(true);
    await fc.assert(
      fc.asyncProperty(sizes, async ({ ranks, seed }) => {
        const layers = loose(device, ranks, seed);
        const grads = grad(
          orthogonality(layers),
          layers.map(({ a }) => a.parameter),
        );
        for (const [m, { a }] of layers.entries()) {
          const [r, n] = a.shape as [number, number];
          const v = await a.value.floats();
          const off = Array.from({ length: r * r }, (_, ij) => {
            const [i, j] = [Math.floor(ij / r), ij % r];
            return (
              Array.from({ length: n }, (__, c) => v[i * n + c]! * v[j * n + c]!).reduce((s, q) => s + q, 0) -
              (i === j ? 1 : 0)
            );
          });
          const norm = Math.hypot(...off);
          // d‖AAᵀ − I‖/dA = 2(AAᵀ − I)A/‖AAᵀ − I‖, and the mean is over two matrices a module
          const want = Array.from(
            v,
            (_, at) =>
              Array.from(
                { length: r },
                (__, j) => (2 * off[Math.floor(at / n) * r + j]! * v[j * n + (at % n)]!) / norm,
              ).reduce((s, q) => s + q, 0) /
              (2 * ranks.length),
          );
          close(await grads[m]!.floats(), want);
        }
      }),
      runs,
    );
  });

  it("keeps the function when the adapter is cut to its kept ranks, and through files, rank 0 included (A8, A9)", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: 10_000 }),
        fc.array(fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }), { minLength: 4, maxLength: 4 }),
        async (seed, choice) => {
          const config = {
            alpha: 6,
            targetModules: ["up", "down"],
            adaLora: adaLoraConfig({ initR: 3, targetR: 1, totalStep: 10 }),
          };
          const model = new Toy(4, { conv: seed % 2 === 0 });
          await model.materialize({ device, seed });
          const adapter = await adapt(model, config, { device, seed });
          const stream = new RandomStream(seed, "stir");
          const masks = new Map(tripletsOf(adapter).map(({ name: module }, m) => [module, choice[m]!]));
          for (const { name: module, a, b, e } of tripletsOf(adapter)) {
            for (const w of [a, b])
              write(
                w,
                Array.from({ length: w.size }, () => stream.normal()),
              );
            write(
              e,
              masks.get(module)!.map((lives) => (lives ? stream.normal() : 0)),
            );
          }
          const x = device.tensor(
            Array.from({ length: 8 }, () => stream.normal()),
            [2, 4],
          );
          const before = await model.forward(x).floats();
          await resizeAdapter(adapter, masks);
          // the same products without the zeros: only the order of at most three terms a sum can differ
          close(await model.forward(x).floats(), Array.from(before));
          for (const [module, update] of adapter.updates)
            expect(update.lowRank!.rank).toBe(masks.get(module)!.filter(Boolean).length);

          const files = new MemoryFiles();
          await saveAdapter(adapter, files);
          const other = new Toy(4, { conv: seed % 2 === 0 });
          await other.materialize({ device, seed });
          const loaded = await loadAdapter(other, files, { device });
          expect(loaded.configOf(adalora)!.adaLora.rankMask).toEqual(adapter.configOf(adalora)!.adaLora.rankMask);
          // files are f32 whatever the device computes in
          const [got, want] = [await other.forward(x).floats(), await model.forward(x).floats()];
          want.forEach((v, i) => {
            expect(Math.abs(got[i]! - v)).toBeLessThanOrEqual(2e-6 * Math.max(1, ...want.map(Math.abs)));
          });
          model.dispose();
          other.dispose();
        },
      ),
      { numRuns: 10 },
    );
  });

  it("does not cut what still acts", async () => {
    const model = new Toy(4);
    await model.materialize({ device, seed: 1 });
    const adapter = await adapt(
      model,
      { targetModules: ["up"], adaLora: adaLoraConfig({ initR: 2, targetR: 1, totalStep: 10 }) },
      { device, seed: 1 },
    );
    write(tripletsOf(adapter)[0]!.e, [1, 1]);
    await expect(
      resizeAdapter(
        adapter,
        new Map([
          ["layer.0.up", [true, false]],
          ["layer.1.up", [true, false]],
        ]),
      ),
    ).rejects.toThrow(/rank 1 of layer\.0\.up still acts/);
    await expect(resizeAdapter(adapter, new Map())).rejects.toThrow(/layer\.0\.up has 2 ranks, its mask is missing/);
    model.dispose();
  });
});
