/** What the quantized formats share: the ways to make one, and turning GPT-2's [in, out] weights, whose blocks and scales belong to outputs. */
import type { WeightForm, WeightFormat } from "@lowrank/nn";
import type { Tensor } from "@lowrank/tensor";

/** A format that can also take a weight from where it is on a device. */
export interface QuantizedFormat extends WeightFormat {
  /** Whether the weight is turned from [in, out] to [out, in] first. */
  readonly transposed: boolean;
  keepFrom?(name: string, value: Tensor): Promise<WeightForm>;
}

/** x [rows, cols] → [cols, rows]. */
export function transposeOf(x: Float32Array, rows: number, cols: number): Float32Array {
  const out = new Float32Array(x.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) out[c * rows + r] = x[r * cols + c]!;
  return out;
}
