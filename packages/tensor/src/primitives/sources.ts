/** Where values come from without an input tensor: leaves, constants, coordinates, random bits. */
import { elementBits, elementHalf } from "../random/threefry.ts";
import { sizeOf } from "../shape.ts";
import type { Primitive } from "./primitive.ts";

export const leaf: Primitive = {
  name: "leaf",
  lowering: { class: "leaf" },
  cost: 0,
  reference: () => new Float64Array(0),
};

export const constant: Primitive = {
  name: "constant",
  lowering: { class: "constant" },
  cost: 0,
  reference: (_inputs, attrs) => Float64Array.of(attrs["value"] as number),
};

export const iota: Primitive = {
  name: "iota",
  lowering: { class: "iota" },
  cost: 0,
  reference: (_inputs, _attrs, shape) => Float64Array.from({ length: shape[0]! }, (_, i) => i),
};

export const randomBits: Primitive = {
  name: "randomBits",
  lowering: { class: "random" },
  cost: 40,
  reference: ([words], attrs, shape) => {
    const site = attrs["site"] as number;
    const key: [number, number] = [words!.data[0]!, words!.data[1]!];
    const draw = attrs["bits"] === 16 ? elementHalf : elementBits;
    return Float64Array.from({ length: sizeOf(shape) }, (_, i) => draw(key, i, site));
  },
};
