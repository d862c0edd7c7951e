/** Coordinates, and the two ways to change what a value is: cast and where. */
import { type DType, promote } from "../dtype.ts";
import { ShapeError } from "../errors.ts";
import { checkDType } from "../host-values.ts";
import * as choices from "../primitives/choices.ts";
import { iota as iotaPrimitive } from "../primitives/sources.ts";
import { broadcastShapes, resolveDim } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { makeNode, makeSource, type Operand, operand } from "./make.ts";
import { ALL_DTYPES, type OpRecords } from "./record.ts";
import { expand, reshape } from "./views.ts";

/** 0, 1, … along dimension `dim` of something shaped like `like`, i32, broadcastable against it. */
export function iota(like: Tensor, dim: number): Tensor {
  const d = resolveDim("iota", dim, like.rank);
  const n = like.shape[d]!;
  const line = makeSource(iotaPrimitive, like.device, {}, [n], "i32");
  return reshape(
    line,
    like.shape.map((s, i) => (i === d ? s : 1)),
  );
}

/** x in another dtype: floats round to nearest even, float → int truncates and saturates, → bool is ≠ 0. */
export function cast(x: Tensor, dtype: DType): Tensor {
  checkDType("cast", dtype);
  return x.dtype === dtype ? x : makeNode(choices.cast, [x], { to: dtype }, x.shape, dtype);
}

/** a where the bool condition holds, else b; a value that is not chosen is never looked at, not even NaN. */
export function where(condition: Tensor, left: Operand, right: Operand): Tensor {
  if (condition.dtype !== "bool")
    throw new ShapeError(`where: the condition must be bool, got ${condition.dtype}; compare it with something`);
  const like = typeof left !== "number" ? left : typeof right !== "number" ? right : undefined;
  const a = operand("where", left, like ?? condition, like?.dtype ?? condition.device.defaultFloat);
  const b = operand("where", right, a);
  const dtype = promote(a.dtype, b.dtype);
  const shape = broadcastShapes("where", condition.shape, a.shape, b.shape);
  return makeNode(
    choices.where,
    [expand(condition, shape), expand(cast(a, dtype), shape), expand(cast(b, dtype), shape)],
    {},
    shape,
    dtype,
  );
}

/** What tests know of these ops. */
export const sourcesRecords: OpRecords = {
  iota: {
    tolerance: "exact",
    differentiable: false,
    dtypes: ALL_DTYPES,
    sample: (g) => {
      const shape = g.shape({ minRank: 1 });
      return [g.tensor(shape), g.integer(-shape.length, shape.length - 1)];
    },
    refuses: (g) => [["a dimension that there is not", "ShapeError", [g.tensor([2]), 1]]],
  },
  cast: {
    tolerance: "exact",
    differentiable: true,
    sample: (g) => [
      g.tensor(g.shape(), { min: -100, max: 100, gap: 1e-2, avoid: [-2, -1, 0, 1, 2] }),
      g.pick(["f32", "f16", "bf16", "i32", "u32", "u8", "bool"] as const),
    ],
    dtypes: ALL_DTYPES,
    refuses: (g) => [["a dtype that there is not", "DTypeError", [g.tensor([2]), "f8"]]],
  },
  where: {
    tolerance: "exact",
    differentiable: true,
    dtypes: ALL_DTYPES,
    refuses: (g) => [
      ["a condition that is no bool", "ShapeError", [g.tensor([2]), g.tensor([2]), g.tensor([2])]],
      ["shapes that do not broadcast", "ShapeError", [g.bools([2]), g.tensor([3]), g.tensor([2])]],
    ],
    sample: (g) => {
      const shape = g.shape();
      return [g.bools(g.broadcastable(shape)), g.tensor(shape), g.tensor(g.broadcastable(shape))];
    },
  },
};
