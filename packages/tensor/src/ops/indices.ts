/** What an op says about its indices. */
import { DTypeError } from "../errors.ts";
import { indexCheckPrimitive, isIndex, type IndexRange } from "../graph/index-checks.ts";
import type { Tensor } from "../tensor.ts";
import { indexRange } from "./options.ts";
import type { OpRecord } from "./record.ts";

export const checkIndices: OpRecord<[ids: Tensor, range: IndexRange]> = {
  name: "checkIndices",
  doc: "ids; values that the host knows (inputs, host tensors, constants, seen through views and casts to i32) are compared with [0, size) before every run, and one outside is an error that names it. Ids computed on the device pass",
  tolerance: "exact", differentiable: false,
  sample: (g) => [g.ints(g.shape(), 0, 4), { size: 5, ignore: -100, op: "checkIndices", name: "id" }],
  call: (t, ids, wanted) => {
    const range = indexRange(wanted);
    if (!isIndex(ids.dtype)) throw new DTypeError(`${range.op}: ${range.name === "index" ? "indices" : `${range.name}s`} must be integers, got ${ids.dtype}`);
    return t.make.node(indexCheckPrimitive, [ids], { ...range }, ids.shape, ids.dtype);
  },
};
