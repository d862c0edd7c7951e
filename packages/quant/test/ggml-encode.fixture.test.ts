/** Blocks that are written, against the bytes of gguf's own quantizer. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { fromBytes, SafetensorsFile, type TensorSource } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";
import { encodedForms, encodeGgml, formats } from "../src/index.ts";

const golden = join(
  process.env["LOWRANK_FIXTURES"] ?? join(import.meta.dirname, "../../../../shared/fixtures"),
  "gguf/quantise.safetensors",
);

describe.skipIf(!existsSync(golden)).each([...encodedForms])("%s", (form) => {
  it("has gguf's bytes", async () => {
    const file = await SafetensorsFile.open(fromBytes(Uint8Array.from(readFileSync(golden))));
    const { data, shape } = await file.read("input");
    const { data: bytes } = await file.read(`${form}.bytes`);
    expect(data.length).toBeGreaterThan(100);
    expect([...encodeGgml(form, data as Float32Array, shape.at(-1)!, "input")]).toEqual([...(bytes as Uint8Array)]);
  });
});

const decoded = async (form: string, bytes: Uint8Array, width: number): Promise<ArrayLike<number>> => {
  const shape = [1, width];
  const source: TensorSource = {
    names: ["w"],
    has: () => true,
    info: () => ({ dtype: form, shape, bytes: bytes.length }),
    range: async (_, from = 0, to = bytes.length) => bytes.slice(from, to),
  };
  const format = formats.find(({ name }) => name === form)!;
  return (await format.decode(source, "w", { shape, transposed: false, allowNonFinite: false })).data;
};

describe("Q8_0", () => {
  test.prop([
    fc.array(fc.float({ noNaN: true, min: -65_504, max: 65_504 }), { minLength: 32, maxLength: 32 }),
    fc.integer({ min: -20, max: 6 }),
  ])("is half a step from the numbers, and what its own scale may be off", async (drawn, exponent) => {
    const values = Float32Array.from(drawn, (v) => v * 2 ** exponent);
    const most = Math.max(...Array.from(values, Math.abs));
    const bytes = encodeGgml("Q8_0", values, 32, "w");
    const back = await decoded("Q8_0", bytes, 32);
    // half a step of d; d is off by 2^-11 of itself in f16 (or half of its smallest step, 2^-25), which counts up to 127 times; f32's own roundings are far below
    const d = most / 127;
    const bound = d / 2 + 127 * (d * 2 ** -11 + 2 ** -25) + most * 2 ** -20;
    for (const [i, v] of values.entries()) expect(Math.abs(back[i]! - v)).toBeLessThanOrEqual(bound);
  });

  it("refuses what it cannot hold, by name", () => {
    const one = (v: number): Float32Array => new Float32Array(32).fill(v);
    expect(() => encodeGgml("Q8_0", one(Infinity), 32, "w")).toThrow("w: element 0 is Infinity");
    expect(() => encodeGgml("Q8_0", one(1e8), 32, "w")).toThrow("the block at element 0 is too large for Q8_0");
    expect(() => encodeGgml("Q8_0", one(1), 16, "w")).toThrow("rows of 16 are no whole blocks of 32");
    expect(() => encodeGgml("Q4_K", one(1), 32, "w")).toThrow('writing "Q4_K" is not built; there are Q8_0');
  });
});
