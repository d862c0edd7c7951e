/** Tensors put together, or kept apart, in memory. */
import { bytesOf } from "../dtype.ts";
import { assemble } from "../primitives/products.ts";
import type { Tensor } from "../tensor.ts";
import { makeNode } from "./make.ts";
import { concat } from "./rearrange.ts";

/** Buffers of every device begin at multiples of so many bytes (`Target.arenaAlignment`). */
const ALIGNMENT = 256;

/** Parts one after another along the first dimension. Where bytes fall so, each is computed in its place, and nothing is copied. */
export function assembled(parts: readonly Tensor[]): Tensor {
  const [first] = parts as [Tensor];
  const rows = parts.reduce((sum, part) => sum + part.shape[0]!, 0);
  if (parts.slice(0, -1).some((part) => (part.size * bytesOf(part.dtype)) % ALIGNMENT !== 0)) return concat(parts);
  return makeNode(assemble, parts, {}, [rows, ...first.shape.slice(1)], first.dtype);
}

/** x, in memory: what is computed from it is no part of the kernel that computes it, however well the two would go together. */
export function inMemory(x: Tensor): Tensor {
  return makeNode(assemble, [x], {}, x.shape, x.dtype);
}
