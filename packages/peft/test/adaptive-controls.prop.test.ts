/** Allocators that measure nothing of where ranks should be: scores that are given, and ranks that are given. */
import type { Weight } from "@lowrank/nn";
import { init, RandomStream, type Device } from "@lowrank/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fixedScores, givenRanks, orthogonality, type Triplets } from "../src/index.ts";
import { batch, feed, loose, stirred, trainer } from "./adaptive.ts";

describe.each(["reference", "wasm"])("controls of rank allocation on %s", (name) => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: name, threads: 1 });
  });
  afterAll(() => device.close());
  const runs = { numRuns: name === "reference" ? 25 : 12 };

  /** Standard normal gradients of a step: the same whoever asks. */
  function normals(seed: number, step: number): (w: Weight, i: number) => number {
    return (w, i) => new RandomStream(seed, `${w.name}/${step}/${i}`).normal();
  }

  it("keep the highest of given scores whatever gradients are, and what has gone stays gone", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }),
        fc.nat({ max: 10_000 }),
        async (ranks, seed) => {
          const layers = loose(device, ranks, seed);
          const count = ranks.reduce((a, b) => a + b, 0);
          const scores = new RandomStream(seed, "scores").shuffle(Array.from({ length: count }, (_, i) => i + 1));
          const method = fixedScores(
            layers,
            { kind: "drawn", reference: "none", scores },
            { totalSteps: 8, tinit: 1, tfinal: 2, deltaT: 2, targetRank: 1 },
          );
          expect(method.regularizer()).toBeUndefined();
          for (let t = 1; t <= 8; t++) {
            const { selected, budget, kept } = method.check(await feed(device, method, normals(seed, t)));
            if (!selected) continue;
            expect(kept).toBe(budget);
            // scores are 1 … n, so the best are those above n − budget
            expect([...(await method.masks()).values()].flat()).toEqual(scores.map((s) => s > count - budget));
          }
          expect(await method.finish()).toMatchObject({ method: "drawn", calls: 8, kept: ranks.length });
          method.dispose();
        },
      ),
      runs,
    );
  });

  /** AdaLoRA's importance of all triplets, of the averages that a method keeps. */
  async function importance(
    layers: readonly Triplets[],
    state: ReadonlyMap<string, { value: { floats(): Promise<Float64Array> } }>,
  ): Promise<number[][]> {
    const product = async (key: string): Promise<number[]> => {
      const [s, u] = [
        await state.get(`sensitivity.${key}`)!.value.floats(),
        await state.get(`uncertainty.${key}`)!.value.floats(),
      ];
      return Array.from(s, (v, i) => v * u[i]!);
    };
    const e = await product("lora_E");
    let at = 0;
    const out: number[][] = [];
    for (const { name: module, a, b } of layers) {
      const [pa, pb] = [await product(`${module}.lora_A`), await product(`${module}.lora_B`)];
      const [[r, inner], rows] = [a.shape as [number, number], b.shape[0]!];
      out.push(
        Array.from({ length: r }, (_, k) => {
          const meanA = pa.slice(k * inner, (k + 1) * inner).reduce((x, y) => x + y, 0) / inner;
          const meanB = Array.from({ length: rows }, (__, o) => pb[o * r + k]!).reduce((x, y) => x + y, 0) / rows;
          return e[at + k]! + meanA + meanB;
        }),
      );
      at += r;
    }
    return out;
  }

  it("end with the ranks given, levelling what is above them, and keep the most important of each module", async () => {
    const modules = fc.array(
      fc.integer({ min: 1, max: 5 }).chain((size) => fc.tuple(fc.constant(size), fc.nat({ max: size }))),
      { minLength: 1, maxLength: 4 },
    );
    await fc.assert(
      fc.asyncProperty(modules, fc.nat({ max: 10_000 }), async (sizes, seed) => {
        const layers = loose(
          device,
          sizes.map(([size]) => size),
          seed,
        );
        const wanted = sizes.map(([, rank]) => rank);
        // the target is a whole number of ranks a module: what is missing goes to modules that have room
        let missing = (layers.length - (wanted.reduce((a, b) => a + b, 0) % layers.length)) % layers.length;
        for (const [m, [size]] of sizes.entries())
          while (missing > 0 && wanted[m]! < size) {
            wanted[m]!++;
            missing--;
          }
        const targetRank = wanted.reduce((a, b) => a + b, 0) / layers.length;
        fc.pre(missing === 0 && targetRank >= 1);
        const method = givenRanks(
          layers,
          { kind: "given", reference: "none", ranks: new Map(layers.map((l, m) => [l.name, wanted[m]!])) },
          { totalSteps: 8, tinit: 1, tfinal: 2, deltaT: 1, targetRank },
        );
        for (let t = 1; t <= 8; t++) {
          const { selected, budget, kept } = method.check(await feed(device, method, normals(seed, t)));
          if (!selected) continue;
          expect(kept).toBe(budget);
          const masks = [...(await method.masks()).values()];
          const excess = masks.map((mask, m) => mask.filter(Boolean).length - wanted[m]!);
          masks.forEach((mask, m) => {
            if (mask.includes(false)) expect(Math.max(...excess)).toBeLessThanOrEqual(excess[m]! + 1);
          });
          const scores = await importance(layers, method.state());
          masks.forEach((mask, m) => {
            const of = (lives: boolean): number[] => scores[m]!.filter((_, k) => mask[k] === lives);
            // the averages are read after the choice that they made; f32 sums of at most nine terms
            if (mask.includes(true) && mask.includes(false))
              expect(Math.min(...of(true))).toBeGreaterThanOrEqual(Math.max(...of(false)) * (1 - 1e-5));
          });
        }
        const record = await method.finish();
        expect(record.modules.map(({ kept }) => kept)).toEqual(wanted);
        method.dispose();
      }),
      runs,
    );
  });

  it("train in a compiled step, with the regularizer in the objective where it is asked for", async () => {
    const model = await stirred(device, 3);
    const method = fixedScores(
      model.layers,
      { kind: "drawn", reference: "none", scores: [3, 1, 2, 6, 5, 4] },
      { totalSteps: 6, tinit: 1, tfinal: 1, targetRank: 1, orthRegWeight: 0.1 },
    );
    const { run } = trainer(model, method, device, 0.02);
    const { x, y } = batch(device, 3);
    for (let t = 1; t <= 6; t++) {
      const before = await orthogonality(model.layers).item();
      const { total, task } = await run(x, y);
      expect(Math.abs(total - task - 0.1 * before)).toBeLessThanOrEqual(2e-6 * Math.max(1, total));
    }
    expect((await method.finish()).modules.map(({ mask }) => mask)).toEqual([
      [false, false, false],
      [true, true, false],
    ]);
    method.dispose();
    model.dispose();
  });

  it("refuse ranks that are none, too many, or not the target's sum, and zero gradients", async () => {
    const layers = loose(device, [2, 3], 1);
    const make = (ranks: readonly [string, number][]): unknown =>
      givenRanks(layers, { kind: "given", reference: "none", ranks: new Map(ranks) }, { totalSteps: 4, targetRank: 1 });
    expect(() => make([["m0", 2]])).toThrow("given: m1 is given no rank, and begins with 3");
    expect(() => make([["m0", 3], ["m1", 0]])).toThrow("given: m0 is given rank 3, and begins with 2"); // prettier-ignore
    expect(() => make([["m0", 2], ["m1", 1]])).toThrow("the ranks given add up to 3, and the target is 2 (1 × 2 modules)"); // prettier-ignore
    const weight = { totalSteps: 4, targetRank: 1, orthRegWeight: -1 };
    expect(() => fixedScores(layers, { kind: "drawn", reference: "none", scores: [1, 2, 3, 4, 5] }, weight)).toThrow(
      "drawn: orthRegWeight must be 0 or more, got -1",
    );
    const method = givenRanks(
      layers,
      { kind: "given", reference: "none", ranks: new Map([["m0", 2], ["m1", 0]]) }, // prettier-ignore
      { totalSteps: 4, targetRank: 1 },
    );
    const report = await feed(device, method, () => 0);
    expect(() => method.check(report)).toThrow(/given, step 1: the gradient of every lora_E is zero/);
    method.dispose();
  });
});
