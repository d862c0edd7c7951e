/** DoRA where a row of W + sBA is exactly zero: the factor is 1 there, forward, backward, merged and in the file. */
import { Conv1D, Linear, Module, type Projection } from "@lowrank/nn";
import { grad, init, ops, SafetensorsFile, type Device } from "@lowrank/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { adapt, loadAdapter, saveAdapter, type DoraUpdate } from "../src/index.ts";
import { input, random, stir, write } from "./helpers.ts";
import { MemoryFiles } from "./memory-files.ts";

class One extends Module {
  l: Projection;
  constructor(inputs: number, outputs: number, conv: boolean) {
    super();
    this.l = conv ? new Conv1D(inputs, outputs) : new Linear(inputs, outputs);
  }
}

/** PEFT's forward pass from a file's tensors and the base, in f64; division by zero included. */
function peft(
  x: Float64Array,
  w: Float64Array,
  bias: Float64Array,
  { a, b, m }: { a: ArrayLike<number>; b: ArrayLike<number>; m: ArrayLike<number> },
  r: number,
  scale: number,
): number[] {
  const [inputs, outputs] = [a.length / r, m.length];
  return Array.from({ length: x.length / inputs }, (_, n) =>
    Array.from({ length: outputs }, (_, o) => {
      let [norm, base, low] = [0, 0, 0];
      for (let i = 0; i < inputs; i++) {
        let update = 0;
        for (let k = 0; k < r; k++) update += scale * b[o * r + k]! * a[k * inputs + i]!;
        norm += (w[o * inputs + i]! + update) ** 2;
        base += w[o * inputs + i]! * x[n * inputs + i]!;
        low += update * x[n * inputs + i]!;
      }
      const factor = m[o]! / Math.sqrt(norm);
      return base + bias[o]! + (factor - 1) * base + factor * low;
    }),
  ).flat();
}

describe.each([
  ["reference", 1e-5],
  ["wasm", 2e-4],
] as const)("on %s", (name, tolerance) => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: name, threads: 1 });
  });
  afterAll(() => device.close());
  const near = (got: ArrayLike<number>, want: ArrayLike<number>): void =>
    Array.from(want).forEach((v, i) =>
      expect(Math.abs(got[i]! - v)).toBeLessThanOrEqual(tolerance * (1 + Math.abs(v))),
    );

  it("forward, gradient, merge and PEFT's reading of the file agree", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          inputs: fc.integer({ min: 1, max: 5 }),
          outputs: fc.integer({ min: 2, max: 5 }),
          r: fc.integer({ min: 1, max: 3 }),
          conv: fc.boolean(),
          zeros: fc.uniqueArray(fc.nat({ max: 4 }), { minLength: 1, maxLength: 3 }),
          trained: fc.constantFrom("fresh", "B", "m"),
          seed: fc.nat({ max: 99 }),
        }),
        async ({ inputs, outputs, r, conv, zeros, trained, seed }) => {
          const model = new One(inputs, outputs, conv);
          await model.materialize({ device, seed });
          const rows = new Set(zeros.map((z) => z % outputs));
          const w = random(inputs * outputs, seed + 1).map((v, i) => (rows.has(Math.floor(i / inputs)) ? 0 : v));
          write(
            model.l.weight,
            conv
              ? Float64Array.from({ length: w.length }, (_, i) => w[(i % outputs) * inputs + Math.floor(i / outputs)]!)
              : w,
          );
          const bias = random(outputs, seed + 2);
          write(model.l.bias!, bias);
          const adapter = await adapt(model, { r, alpha: 2 * r, dora: true, targetModules: ["l"] }, { device, seed });
          const update = adapter.updates.get("l") as DoraUpdate;
          if (trained !== "fresh") {
            stir(adapter, seed);
            // B of zero rows stays 0, or moves while m is 0 as the first steps make it
            const b = await update.b.value.floats();
            write(
              update.b,
              b.map((v, i) => (trained === "B" || !rows.has(Math.floor(i / r)) ? v : 0)),
            );
            if (trained === "B")
              write(
                update.magnitude,
                (await update.magnitude.value.floats()).map((v, o) => (rows.has(o) && o % 2 === 0 ? 0 : v)),
              );
          }
          const x = input(device, 3, inputs, seed);
          const y = model.l.forward(x);
          const got = await y.floats();
          expect(got.every(Number.isFinite)).toBe(true);
          const [gm, gb] = grad(ops.sum(ops.mul(y, input(device, 3, outputs, seed + 3))), [
            update.magnitude.parameter,
            update.b.parameter,
          ]);
          const [dm, db] = [await gm!.floats(), await gb!.floats()];
          expect([...dm, ...db].every(Number.isFinite)).toBe(true);
          if (trained !== "B")
            for (const o of rows) {
              expect(dm[o]).toBe(0);
              for (let n = 0; n < 3; n++) expect(got[n * outputs + o]).toBeCloseTo(bias[o]!, 5);
              // with the factor 1 the row can leave zero
              expect(db.subarray(o * r, (o + 1) * r).some((v) => v !== 0)).toBe(true);
            }
          const files = new MemoryFiles();
          await saveAdapter(adapter, files);
          const file = await SafetensorsFile.open(await files.open("adapter_model.safetensors"));
          const tensor = async (n: string): Promise<ArrayLike<number>> =>
            (await file.read(`base_model.model.l.${n}`)).data;
          near(
            peft(
              await x.floats(),
              w,
              bias,
              {
                a: await tensor("lora_A.weight"),
                b: await tensor("lora_B.weight"),
                m: await tensor("lora_magnitude_vector"),
              },
              r,
              2,
            ),
            got,
          );
          await adapter.merge({ safe: true });
          near(await model.l.forward(x).floats(), got);
          adapter.unmerge();
          await adapter.delete();
          await loadAdapter(model, files, { device });
          near(await model.l.forward(x).floats(), got);
          model.dispose();
        },
      ),
      { numRuns: 40 },
    );
  });
});

it("a row that no B can move cannot be written for PEFT, and is refused", async () => {
  const device = await init({ device: "reference" });
  const model = new One(3, 2, false);
  await model.materialize({ device });
  write(model.l.weight, [0, 0, 0, 1, 1, 1]);
  const adapter = await adapt(model, { r: 1, dora: true, targetModules: ["l"] }, { device });
  write((adapter.updates.get("l") as DoraUpdate).a, [0, 0, 0]);
  await expect(saveAdapter(adapter, new MemoryFiles())).rejects.toThrow("row 0 of l is exactly zero");
  device.close();
});
