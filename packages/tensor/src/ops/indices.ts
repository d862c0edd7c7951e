/** What an op says about its indices. Inputs, host tensors and constants are seen through views and casts to i32. */
import { dtypes } from "../dtype.ts";
import { DTypeError } from "../errors.ts";
import { indexCheckPrimitive, type IndexRange } from "../graph/index-checks.ts";
import type { Tensor } from "../tensor.ts";
import { indexRange } from "./options.ts";
import type { OpRecord } from "./record.ts";

export const checkIndices: OpRecord<[ids: Tensor, range: IndexRange]> = {
  name: "checkIndices",
  doc: "ids; where the host knows them, one outside [0, size) is an error before the run",
  tolerance: "exact",
  differentiable: false,
  sample: (g) => [g.ints(g.shape(), 0, 4), { size: 5, ignore: -100, op: "checkIndices", name: "id" }],
  call: (t, ids, wanted) => {
    const range = indexRange(wanted);
    if (dtypes[ids.dtype].kind !== "int")
      throw new DTypeError(
        `${range.op}: ${range.name === "index" ? "indices" : `${range.name}s`} must be integers, got ${ids.dtype}`,
      );
    return t.make.node(indexCheckPrimitive, [ids], { ...range }, ids.shape, ids.dtype);
  },
};
