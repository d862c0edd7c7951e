/** Random values for models in tests. */
import type { Weight } from "@lowrank/nn";
import { RandomStream, type Device, type Tensor } from "@lowrank/tensor";
import type { Adapter } from "../src/index.ts";

export function random(count: number, seed: number, factor = 1): Float64Array {
  const out = new Float64Array(count);
  new RandomStream(seed, "test").fillNormal(out, 0, factor);
  return out;
}

export function input(device: Device, rows: number, size: number, seed = 5): Tensor {
  return device.tensor(random(rows * size, seed), [rows, size]);
}

/** Writes values in the memory form of the weight. */
export function write(weight: Weight, values: ArrayLike<number>): void {
  weight.parameter.write(weight.parameter.dtype === "f64" ? Float64Array.from(values) : Float32Array.from(values));
}

/** Larger weights than BERT's 0.02, so that updates show. */
export function enlarge(weights: readonly Weight[], factor = 0.4): void {
  for (const w of weights) write(w, random(w.size, w.size, factor));
}

/** Gives every trained part of an adapter values, so that it does something. Magnitudes stay positive. */
export function stir(adapter: Adapter, seed: number): void {
  for (const { weights } of adapter.updates.values()) {
    weights.forEach(({ weight, memory }, i) => {
      if (memory.startsWith("ranknum")) return;
      const values = random(weight.size, seed + i, 0.3);
      write(weight, memory.startsWith("lora_magnitude") ? values.map((v) => 0.5 + Math.abs(v)) : values);
    });
  }
}
