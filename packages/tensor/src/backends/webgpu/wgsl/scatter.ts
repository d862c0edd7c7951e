/**
 * Scatter-add as WGSL, without float atomics. An invocation owns one column of a segment of rows: it clears its cells and walks
 * through all ids in order, adding what falls into the segment, so sums come out the same every time.
 */
import type { ScatterKernel } from "../../../ir/kernel.ts";
import { printOperand } from "./expression.ts";
import { WgslModule, WORKGROUP_INDEX, type WgslKernel } from "./module.ts";

const GROUP = 64;
/** Invocations that are worth reading all the ids once more. */
const ENOUGH = 1 << 14;
const MAX_SEGMENTS = 64;

export function printScatter(kernel: ScatterKernel): WgslKernel {
  const { rows, cols, count, out } = kernel;
  const module = new WgslModule(kernel.args);
  const idType = kernel.ids.body[kernel.ids.value]!.type === "u32" ? "u32" : "i32";
  const segments = Math.max(1, Math.min(Math.ceil(ENOUGH / Math.max(cols, 1)), MAX_SEGMENTS, rows));
  const height = Math.ceil(rows / segments);
  const functions = [
    printOperand(module, "load_id", kernel.ids, 1, idType),
    printOperand(module, "load_src", kernel.src, 2, "f32"),
    `
@compute @workgroup_size(${GROUP})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let place = i32((${WORKGROUP_INDEX}) * ${GROUP}u + local);
  if (place >= ${segments * cols}) { return; }
  let column = place % ${cols};
  let first = (place / ${cols}) * ${height};
  let end = min(first + ${height}, ${rows});
  for (var r = first; r < end; r++) { b${out}[r * ${cols} + column] = 0.0f; }
  for (var i = 0; i < ${count}; i++) {
    let id = i32(load_id(i));
    if (id >= first && id < end) { b${out}[id * ${cols} + column] += load_src(i, column); }
  }
}
`,
  ];
  return { code: module.print(functions), workgroups: Math.ceil((segments * cols) / GROUP) };
}
