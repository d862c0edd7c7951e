/** Writing at a position that is a value: caches that fill up token by token. */
import { DTypeError, ShapeError } from "../errors.ts";
import { dynamicUpdate as dynamicUpdatePrimitive } from "../primitives/products.ts";
import { formatShape, resolveDim } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { checkIndices } from "./indices.ts";
import { makeNode } from "./make.ts";
import type { OpRecords } from "./record.ts";
import { cast } from "./sources.ts";
import { reshape } from "./views.ts";

/**
 * x with `block` in place of its elements at, at + 1, … along `dim`. The position is a value, so one plan serves all positions. Assigned to
 * the parameter that x is the value of (`Parameter.assignRows`), it writes the block and nothing else.
 *
 * A position at which the block does not fit whole is an error before the run where the host knows it (inputs, host tensors, constants);
 * where a device computed it, nothing is written, and the block has no gradient.
 * @param block of x's dtype and shape, but for its size along `dim`
 * @param at integer, shape [] or [1]
 * @throws ShapeError, DTypeError
 */
export function dynamicUpdate(x: Tensor, block: Tensor, at: Tensor, dim: number = 0): Tensor {
  const d = resolveDim("dynamicUpdate", dim, x.rank);
  if (block.rank !== x.rank || block.shape.some((size, i) => (i === d ? size > x.shape[i]! : size !== x.shape[i])))
    throw new ShapeError(
      `dynamicUpdate: block ${formatShape(block.shape)} does not fit ${formatShape(x.shape)} along dimension ${dim}`,
    );
  if (block.dtype !== x.dtype)
    throw new DTypeError(`dynamicUpdate: block is ${block.dtype}, x is ${x.dtype}; cast it first`);
  if (at.size !== 1 || at.rank > 1)
    throw new ShapeError(`dynamicUpdate: the position is one number, [] or [1], got ${formatShape(at.shape)}`);
  const size = x.shape[d]! - block.shape[d]! + 1;
  if (block.size === 0) return x;
  const place = cast(checkIndices(at, { size, op: "dynamicUpdate", name: "position" }), "i32");
  return makeNode(dynamicUpdatePrimitive, [x, block, reshape(place, [])], { dim: d }, x.shape, x.dtype);
}

/** What tests know of this op. */
export const dynamicUpdateRecords: OpRecords = {
  dynamicUpdate: {
    tolerance: "exact",
    differentiable: true,
    refuses: (g) => [
      ["a block that is longer than x", "ShapeError", [g.tensor([2, 3]), g.tensor([3, 3]), g.ints([1], 0, 0)]],
      ["several positions", "ShapeError", [g.tensor([4, 3]), g.tensor([1, 3]), g.ints([2], 0, 1)]],
      ["a position outside", "ValueError", [g.tensor([4, 3]), g.tensor([2, 3]), g.ints([1], 3, 3)]],
    ],
    sample: (g) => {
      const shape = g.shape({ minRank: 1 });
      const d = g.integer(0, shape.length - 1);
      const length = g.integer(Math.min(1, shape[d]!), shape[d]!);
      const at = g.ints(g.boolean() ? [] : [1], 0, shape[d]! - length);
      return [g.tensor(shape), g.tensor(shape.map((size, i) => (i === d ? length : size))), at, d];
    },
  },
};
