/** Binds the op records to a Tensor constructor. */
import type { Device } from "../device.ts";
import { dtypes } from "../dtype.ts";
import { DTypeError, invariant, sameDevice } from "../errors.ts";
import { Node } from "../graph/node.ts";
import { checkNumber, checkSizes } from "../host-values.ts";
import { atPrecision } from "../precision.ts";
import type { Tensor } from "../tensor.ts";
import type { OpRecord } from "./record.ts";
import { records } from "./registry.ts";
import { constantPrimitive } from "./sources.ts";
import type { BoundOps, Builders, Toolbox } from "./toolbox.ts";

export function makeToolbox(
  wrap: (node: Node, device: Device) => Tensor,
  isTensor: (x: unknown) => x is Tensor,
): Toolbox {
  const make: Builders = {
    node(primitive, inputs, attrs, shape, dtype) {
      const device = inputs[0]!.device;
      for (const x of inputs) sameDevice(primitive.name, device, x.device);
      checkSizes(primitive.name, shape);
      return wrap(
        new Node(
          primitive,
          inputs.map((x) => x.node),
          attrs,
          shape,
          dtype,
        ),
        device,
      );
    },
    source(primitive, device, attrs, shape, dtype) {
      checkSizes(primitive.name, shape);
      return wrap(new Node(primitive, [], attrs, shape, dtype), device);
    },
    customVjp(output, inputs, rule) {
      invariant(output.node.vjp === undefined, "a node has one gradient rule");
      output.node.vjp = { inputs: inputs.map((x) => x.node), rule };
      return output;
    },
    scalar(value, like, dtype = like.dtype) {
      const kind = dtypes[dtype].kind;
      const stored = kind === "bool" ? Number(value !== 0) : value;
      return wrap(new Node(constantPrimitive, [], { value: stored }, [], dtype), like.device);
    },
    operand(op, x, like, dtype = like?.dtype) {
      if (isTensor(x)) return x;
      if (typeof x === "number" && typeof like === "number")
        throw new DTypeError(`${op}: at least one operand must be a tensor`);
      checkNumber(op, dtype, typeof x !== "number" || isTensor(like) ? x : like);
      return make.scalar(x, like, dtype);
    },
  };
  const toolbox: Record<string, unknown> = { make };
  for (const [name, record] of Object.entries(records)) {
    const { call, precision } = record as unknown as OpRecord<unknown[], unknown>;
    const bound = toolbox as unknown as Toolbox;
    const run = (args: readonly unknown[]): unknown => call(bound, ...args);
    toolbox[name] =
      precision === undefined
        ? (...args: unknown[]) => call(bound, ...args)
        : (...args: unknown[]) =>
            atPrecision(precision, args, run, { isTensor, cast: (x, dtype) => bound.cast(x, dtype) });
  }
  return toolbox as unknown as BoundOps & { make: Builders };
}
