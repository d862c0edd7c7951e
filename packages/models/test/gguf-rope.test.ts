/** Llama 3's scaling out of what llama.cpp keeps of it. */
import { fc, test } from "@fast-check/vitest";
import { fromTensors, type TensorSource } from "@lowrank/tensor";
import { expect, it } from "vitest";
import { ropeScalingOf } from "../src/gguf/rope-factors.ts";

/** As conversion/llama.py writes them, wavelength by wavelength. */
function written(width: number, theta: number, factor: number, original = 8192): Float32Array {
  return Float32Array.from({ length: width / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** ((2 * i) / width);
    if (wavelength < original / 4) return 1;
    if (wavelength > original / 1) return factor;
    const smooth = (original / wavelength - 1) / (4 - 1);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}
const source = (data: Float32Array): TensorSource =>
  fromTensors({ "rope_freqs.weight": { dtype: "f32", shape: [data.length], data } });

test.prop([fc.constantFrom(64, 128), fc.constantFrom(500_000, 1_000_000), fc.integer({ min: 2, max: 64 })])(
  "the factor is found, whatever the width and base",
  async (width, theta, factor) => {
    const found = await ropeScalingOf(source(written(width, theta, factor)), { head_dim: width, rope_theta: theta });
    expect(found).toEqual({
      rope_type: "llama3",
      factor,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    });
  },
);

it("factors of another rule are refused", async () => {
  const config = { head_dim: 64, rope_theta: 500_000 };
  for (const other of [
    written(64, 500_000, 8, 4096),
    written(128, 500_000, 8),
    new Float32Array(32),
    written(64, 1e6, 8),
  ])
    await expect(ropeScalingOf(source(other), config)).rejects.toThrow(/otherwise than Llama 3.1 to 3.3 do/);
});
