/** How ops make nodes. */
import { dtypes, type DType } from "../dtype.ts";
import { DTypeError, invariant, sameDevice } from "../errors.ts";
import { Node, type Composite } from "../graph/node.ts";
import { checkNumber, checkSizes } from "../host-values.ts";
import type { Template } from "../ir/template.ts";
import type { Attrs, Primitive } from "../primitives/primitive.ts";
import { constant } from "../primitives/sources.ts";
import { Tensor, type TensorHost } from "../tensor.ts";

/** A tensor, or a JavaScript number that takes the other operand's dtype. */
export type Operand = Tensor | number;

/** @throws DeviceError unless all inputs, one at least, live on one device */
export function makeNode(
  primitive: Primitive,
  inputs: readonly Tensor[],
  attrs: Attrs,
  shape: readonly number[],
  dtype: DType,
): Tensor {
  const { device } = inputs[0]!;
  for (const x of inputs) sameDevice(primitive.name, device, x.device);
  checkSizes(primitive.name, shape);
  const nodes = inputs.map((x) => x.node);
  return new Tensor(new Node(primitive, nodes, attrs, shape, dtype), device);
}

/** A node without inputs. */
export function makeSource(
  primitive: Primitive,
  device: TensorHost,
  attrs: Attrs,
  shape: readonly number[],
  dtype: DType,
): Tensor {
  checkSizes(primitive.name, shape);
  return new Tensor(new Node(primitive, [], attrs, shape, dtype), device);
}

/**
 * Gives `output` a gradient rule of its own with respect to `inputs`, in place of the rules of the primitives behind it.
 * @param output a tensor that the caller has just made and that has no such rule yet
 * @param rule from the gradient of `output` to those of `inputs`, in order; undefined where there is none. `wanted` says of which inputs
 * anything is asked; what is given of others is not looked at
 * @returns `output`
 */
export function customVjp(
  output: Tensor,
  inputs: readonly Tensor[],
  rule: (g: Tensor, wanted: readonly boolean[]) => readonly (Tensor | undefined)[],
): Tensor {
  const { node, device } = output;
  invariant(node.vjp === undefined, "a node has one gradient rule");
  node.vjp = {
    inputs: inputs.map((x) => x.node),
    rule: (g, wanted) => rule(new Tensor(g, device), wanted).map((part) => part?.node),
  };
  return output;
}

/**
 * Says that `output` is, as a whole, what `name` means of `inputs`: a device may then compute it in a way of its own (`Template` of
 * `@lowrank/tensor/backend`). Any other computes the nodes behind it, as if nothing had been said. Gradients are not concerned.
 * @param output one or several tensors that the caller has just made
 * @param inputs all tensors that they are made of, but for constants of the op itself
 * @param attrs numbers, words and flags that the name needs
 * @param template what devices that have no better way compute it by: phases of kernels of the IR, or of a device's own where it requires its features
 * @returns `output`
 */
export function composite<Out extends Tensor | readonly Tensor[]>(
  name: string,
  output: Out,
  inputs: readonly Tensor[],
  attrs: Attrs = {},
  template?: Template,
): Out {
  const outputs = ((output instanceof Tensor ? [output] : output) as readonly Tensor[]).map((x) => x.node);
  const made: Composite = { name, inputs: inputs.map((x) => x.node), outputs, attrs, ...(template && { template }) };
  for (const node of outputs) node.composites = [...(node.composites ?? []), made];
  return output;
}

/** A number as a tensor of `like`'s device, and dtype unless another is given; shape []. */
export function scalar(value: number, like: Tensor, dtype: DType = like.dtype): Tensor {
  const stored = dtypes[dtype].kind === "bool" ? Number(value !== 0) : value;
  return new Tensor(new Node(constant, [], { value: stored }, [], dtype), like.device);
}

/**
 * A tensor as it is, a number as `scalar` has it.
 * @param like what stands beside `x`: a tensor wherever `x` is a number
 * @throws DTypeError naming `op` on anything else, and on a number that the dtype does not hold
 */
export function operand(op: string, x: Operand, like: Operand, dtype?: DType): Tensor {
  if (x instanceof Tensor) return x;
  if (typeof x === "number" && typeof like === "number")
    throw new DTypeError(`${op}: at least one operand must be a tensor`);
  const wanted = dtype ?? (like as Tensor | undefined)?.dtype;
  checkNumber(op, wanted as DType, typeof x !== "number" || like instanceof Tensor ? x : like);
  return scalar(x, like as Tensor, wanted);
}
