/** Where values come from without an input tensor: leaves, constants, coordinates, random bits. */
import { drawnBits, type RandomAttrs } from "../random/layout.ts";
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

/**
 * Inputs: the words of a key, and `siteKey` of the call site. That is read from memory, where it could be a number of the kernel, so that one
 * kernel serves equal layers at every depth.
 */
export const randomBits: Primitive = {
  name: "randomBits",
  lowering: { class: "random" },
  cost: 40,
  reference: ([words, site], attrs, shape) =>
    drawnBits(words!.data, site!.data[0]!, attrs as unknown as RandomAttrs, shape),
};
