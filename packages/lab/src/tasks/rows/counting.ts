/** Which rows of a batch count: those that fill it up do not. */
import { ops, type CompileInputs, type Tensor } from "@lowrank/tensor";
import type { Group } from "../../data/length-groups.ts";
import type { Targets } from "../../data/text-examples.ts";

/** Targets with `counts` f32 [rows]: 1 for a row, 0 for filling. */
export function countingRows(members: Group, rows: number, inputs: CompileInputs): Targets {
  const counts = new Float32Array(rows).fill(1, 0, members.length);
  return { counted: members.length, inputs: { ...inputs, counts: { data: counts, shape: [rows], dtype: "f32" } } };
}

/** Of losses [rows]: the sum over rows that count, or their mean. */
export function meanOfRows(each: Tensor, counts: Tensor, reduction: "mean" | "sum"): Tensor {
  const weights = ops.cast(counts, each.dtype);
  const total = ops.sum(ops.mul(each, weights));
  return reduction === "sum" ? total : ops.div(total, ops.sum(weights));
}
