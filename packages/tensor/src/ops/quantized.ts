/** Weights stored in four bits. A product that reads one unpacks it while it packs its operand; see `placeOperand`. */
import { DTypeError, ShapeError } from "../errors.ts";
import { dequantize as primitive } from "../primitives/choices.ts";
import { formatShape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { composite, makeNode } from "./make.ts";
import type { OpRecords } from "./record.ts";
import { reshape } from "./views.ts";

/**
 * Element i (row-major) of the result is table[code i] · scales[⌊i / blockSize⌋]; code 0 is the high half of byte 0, as bitsandbytes packs them.
 * The result is f32. No gradient flows to the codes, the scales or the table: a quantized weight is frozen.
 * @param codes u8 [⌈n/2⌉]
 * @param scales [⌈n/blockSize⌉]
 * @param table [16]
 * @param shape of n elements
 */
export function dequantize(
  codes: Tensor,
  scales: Tensor,
  table: Tensor,
  shape: readonly number[],
  blockSize: number,
): Tensor {
  const n = sizeOf(shape);
  if (codes.dtype !== "u8" || (scales.dtype !== "f32" && scales.dtype !== "f64") || table.dtype !== scales.dtype)
    throw new DTypeError(
      `dequantize: needs u8 codes and f32 scales and table, got ${codes.dtype}, ${scales.dtype} and ${table.dtype}`,
    );
  if (!Number.isInteger(Math.log2(blockSize)))
    throw new ShapeError(`dequantize: the block size must be a power of two, got ${blockSize}`);
  if (codes.size !== Math.ceil(n / 2) || scales.size !== Math.ceil(n / blockSize) || table.size !== 16) {
    throw new ShapeError(
      `dequantize: ${formatShape(shape)} in blocks of ${blockSize} needs ${Math.ceil(n / 2)} bytes, ${Math.ceil(n / blockSize)} scales and a table of 16, got ${codes.size}, ${scales.size} and ${table.size}`,
    );
  }
  const value = makeNode(
    primitive,
    [reshape(codes, [-1]), reshape(scales, [-1]), reshape(table, [-1])],
    { blockSize },
    [...shape],
    table.dtype,
  );
  return composite("dequantize", value, [codes, scales, table], { format: "blocks of 4 bits", blockSize });
}

/** What tests know of these ops. */
export const quantizedRecords: OpRecords = {
  dequantize: {
    tolerance: "arithmetic",
    differentiable: false,
    dtypes: ["f32"],
    refuses: (g) => [
      ["codes that are no bytes", "DTypeError", [g.ints([1], 0, 9), g.tensor([1]), g.tensor([16]), [2], 2]],
      ["blocks of three", "ShapeError", [{ ...g.ints([3], 0, 9), dtype: "u8" }, g.tensor([2]), g.tensor([16]), [6], 3]],
      ["too few scales", "ShapeError", [{ ...g.ints([2], 0, 9), dtype: "u8" }, g.tensor([1]), g.tensor([16]), [4], 2]],
    ],
    sample: (g) => {
      const shape = g.shape({ minRank: 1 });
      const n = shape.reduce((a, b) => a * b, 1);
      const blockSize = g.pick([2, 4, 8]);
      return [
        { ...g.ints([Math.ceil(n / 2)], 0, 255), dtype: "u8" },
        g.tensor([Math.ceil(n / blockSize)]),
        g.tensor([16]),
        shape,
        blockSize,
      ];
    },
  },
};
