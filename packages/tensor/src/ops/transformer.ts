/** Linear layers and rotary positions. */
import { ShapeError } from "../errors.ts";
import { formatShape, sizeOf } from "../shape.ts";
import type { Composite, Node } from "../graph/node.ts";
import { Tensor } from "../tensor.ts";
import { composite } from "./make.ts";
import { add, mul } from "./binary.ts";
import { inPrecision } from "./in-precision.ts";
import { matmul } from "./matmul.ts";
import { concat } from "./rearrange.ts";
import type { OpRecords, TensorSpec } from "./record.ts";
import { neg } from "./unary.ts";
import { reshape, slice, transpose } from "./views.ts";

/** x […, in] · weightᵀ [in, out] + bias [out]; weight is stored [out, in]. */
export const linear: (x: Tensor, weight: Tensor, bias?: Tensor) => Tensor = /* @__PURE__ */ inPrecision(
  "compute",
  (x, weight, bias) => {
    const width = x.shape[x.rank - 1] ?? 0;
    if (weight.rank !== 2 || width !== weight.shape[1])
      throw new ShapeError(
        `linear: input ${formatShape(x.shape)} does not fit weight ${formatShape(weight.shape)}: the last dimension must be ${weight.shape[1]}`,
      );
    const flat = matmul(reshape(x, [sizeOf(x.shape.slice(0, -1)), width]), transpose(weight));
    const y = reshape(bias === undefined ? flat : add(flat, bias), [...x.shape.slice(0, -1), weight.shape[0]!]);
    const decoded = decodedFrom(weight.node);
    if (decoded === undefined) return y;
    const stored = decoded.inputs.map((node) => new Tensor(node, weight.device));
    const attrs = { ...decoded.attrs, outputs: weight.shape[0]!, dtype: weight.dtype, bias: bias !== undefined };
    const inputs = [x, ...stored, ...(bias === undefined ? [] : [bias])];
    // who knows the form of the weight may know a way to multiply by it
    return composite("dequantizedLinear", y, inputs, attrs, decoded.template);
  },
);

/** What a weight is decoded from, if it is, seen through casts. */
function decodedFrom(weight: Node): Composite | undefined {
  let at = weight;
  while (at.leaf === undefined && at.primitive.lowering.class === "cast") at = at.inputs[0]!;
  return at.composites?.find(({ name }) => name === "dequantize");
}

/**
 * Rotary position embedding of x [batch, heads, length, d], half-rotate layout, by tables that broadcast to it:
 * x·cos + (−x₂, x₁)·sin for the halves x₁, x₂ of x.
 */
export function rope(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  const d = x.shape[x.rank - 1] ?? 1;
  if (d % 2 !== 0) throw new ShapeError(`rope: the last dimension must be even, got ${formatShape(x.shape)}`);
  const turned = concat([neg(slice(x, -1, d / 2, d)), slice(x, -1, 0, d / 2)], -1);
  return add(mul(x, cos), mul(turned, sin));
}

/** What tests know of these ops. */
export const transformerRecords: OpRecords = {
  linear: {
    tolerance: "reduction",
    differentiable: true,
    refuses: (g) => [["a weight that does not fit", "ShapeError", [g.tensor([2, 3]), g.tensor([3, 2])]]],
    sample: (g) => {
      const [inputs, outputs] = [g.size(9), g.size(9)];
      return [
        g.tensor([...g.shape({ maxRank: 2 }), inputs]),
        g.tensor([outputs, inputs]),
        ...(g.boolean() ? [g.tensor([outputs])] : []),
      ];
    },
  },
  rope: {
    tolerance: "row",
    differentiable: true,
    refuses: (g) => [["an odd dimension", "ShapeError", [g.tensor([2, 3]), g.tensor([3]), g.tensor([3])]]],
    sample: (g) => {
      const [b, h, s, d] = [g.size(2), g.size(2), g.size(5), g.pick([2, 4, 8])];
      const table = (): TensorSpec => g.tensor(g.boolean() ? [s, d] : [b, 1, s, d], { min: -1, max: 1 });
      return [g.tensor([b, h, s, d]), table(), table()];
    },
  },
};
