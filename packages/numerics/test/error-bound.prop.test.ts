/** Bounds of random graphs hold on every way to compute in f32, and are not much wider than what happens. */
import { grad, init, RandomStream, type Device } from "@lowrank/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { allRecords, errorBound, findOutside, sampleSource, type Enclosure, type Gen } from "../src/index.ts";
import { boundOp, runOp, weightedSum } from "../src/op-case.ts";
import { evaluateCarelessly } from "./support/careless-device.ts";
import { buildGraph, nameSteps, recipes, type Recipe } from "./support/random-graph.ts";

let reference: Device;
let device: Device;
beforeAll(async () => {
  reference = await init({ device: "reference" });
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => [reference, device].forEach((d) => d.close()));

async function boundsOf(recipe: Recipe): Promise<{ bounds: readonly Enclosure[]; careless: Float64Array[] }> {
  const { leaves, values } = buildGraph(recipe, reference);
  const wanted = [...values, ...grad(weightedSum(values.at(-1)!), leaves)];
  const bounds = await errorBound(wanted);
  return { bounds, careless: evaluateCarelessly(wanted, new RandomStream(recipe.seed, "rounding")) };
}

describe("error bounds", () => {
  it("hold for any rounding, order and fusion", async () => {
    await fc.assert(
      fc.asyncProperty(recipes(6), async (recipe) => {
        const { bounds, careless } = await boundsOf(recipe);
        bounds.forEach((bound, i) =>
          expect(findOutside(careless[i]!, bound), `value ${i} of ${nameSteps(recipe)}`).toBeUndefined(),
        );
      }),
      { numRuns: 200 },
    );
  });

  // half the width of the interval over what a device is off, the median of all elements that are off at all
  it("are within two orders of magnitude of what happens in rows", async () => {
    const ratios = new Map<string, number>();
    for (const [name, record] of allRecords().filter(([, r]) => r.tolerance === "row")) {
      const seen: number[] = [];
      await fc.assert(
        fc.asyncProperty(fc.gen(), async (gen) => {
          const sample = record.sample(sampleSource(gen as unknown as Gen));
          const { outputs } = await boundOp(name, record, sample, reference, "ieee");
          const got = await runOp(name, record, sample, device);
          outputs.forEach(({ value, low, high }, i) =>
            value.forEach((v, k) => {
              const off = Math.abs(got.outputs[i]![k]! - v);
              // what is flushed to zero is as far off as it may be, whatever that is
              if (off > 0 && Math.abs(v) >= 2 ** -126) seen.push((high[k]! - low[k]!) / 2 / off);
            }),
          );
        }),
        { numRuns: 10 },
      );
      ratios.set(name, seen.sort((a, b) => a - b)[seen.length >> 1] ?? 0);
    }
    // the interval of a vocabulary in blocks is widened by the product, and again by each block's running maximum and sum
    const most = (name: string): number => (name === "linearCrossEntropy" ? 400 : 200);
    expect([...ratios].filter(([name, ratio]) => !(ratio > 0 && ratio < most(name)))).toEqual([]);
  });
});
