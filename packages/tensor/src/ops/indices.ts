/** What an op says about its indices. Inputs, host tensors and constants are seen through views and casts to i32. */
import { anything, fields, leaf, name, optional } from "../check/rules.ts";
import { dtypes } from "../dtype.ts";
import { DTypeError } from "../errors.ts";
import type { IndexRange } from "../graph/index-checks.ts";
import { checkIndices as primitive } from "../primitives/views.ts";
import type { Tensor } from "../tensor.ts";
import { makeNode } from "./make.ts";
import { integer, optionsOf } from "./options.ts";
import type { OpRecords } from "./record.ts";

const rangeOf = /* @__PURE__ */ optionsOf("checkIndices", () =>
  fields<IndexRange>({
    size: leaf(
      "a whole number of at least 0, or Infinity",
      (v) => v === Infinity || (Number.isSafeInteger(v) && (v as number) >= 0),
    ),
    ignore: optional(integer),
    op: name,
    name,
    grows: optional(fields<NonNullable<IndexRange["grows"]>>({ limit: integer, to: anything() })),
  }),
);

/** ids; where the host knows them, one outside [0, size) is an error before the run. */
export function checkIndices(ids: Tensor, wanted: IndexRange): Tensor {
  const range = rangeOf(wanted);
  if (dtypes[ids.dtype].kind !== "int")
    throw new DTypeError(
      `${range.op}: ${range.name === "index" ? "indices" : `${range.name}s`} must be integers, got ${ids.dtype}`,
    );
  return makeNode(primitive, [ids], { ...range }, ids.shape, ids.dtype);
}

/** What tests know of these ops. */
export const indicesRecords: OpRecords = {
  checkIndices: {
    tolerance: "exact",
    differentiable: false,
    refuses: (g) => [
      ["ids that are no integers", "DTypeError", [g.tensor([2]), { size: 5, op: "checkIndices", name: "id" }]],
      ["an id outside", "ValueError", [g.ints([2], 5, 5), { size: 5, op: "checkIndices", name: "id" }]],
      ["a range without a size", "ConfigError", [g.ints([2], 0, 1), { op: "checkIndices", name: "id" }]],
    ],
    sample: (g) => [g.ints(g.shape(), 0, 4), { size: 5, ignore: -100, op: "checkIndices", name: "id" }],
  },
};
