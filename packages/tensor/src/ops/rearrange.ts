/** Small compositions of views. */
import { ShapeError } from "../errors.ts";
import { formatShape, resolveDim } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { OpRecord } from "./record.ts";

export const unsqueeze: OpRecord<[x: Tensor, dim: number]> = {
  name: "unsqueeze",
  doc: "x with a new dimension of 1 at dim",
  tolerance: "exact",
  differentiable: true,
  sample: (g) => [g.tensor(g.shape()), 0],
  call: (t, x, dim) => {
    const d = resolveDim("unsqueeze", dim, x.rank + 1);
    return t.reshape(x, [...x.shape.slice(0, d), 1, ...x.shape.slice(d)]);
  },
};

export const squeeze: OpRecord<[x: Tensor, dim: number]> = {
  name: "squeeze",
  doc: "x without its dimension dim of size 1",
  tolerance: "exact",
  differentiable: true,
  sample: (g) => [g.tensor([...g.shape(), 1]), -1],
  call: (t, x, dim) => {
    const d = resolveDim("squeeze", dim, x.rank);
    if (x.shape[d] !== 1) throw new ShapeError(`squeeze: dimension ${dim} of ${formatShape(x.shape)} is not 1`);
    return t.reshape(
      x,
      x.shape.filter((_, i) => i !== d),
    );
  },
};

export const flatten: OpRecord<[x: Tensor]> = {
  name: "flatten",
  doc: "x as one dimension",
  tolerance: "exact",
  differentiable: true,
  sample: (g) => [g.tensor(g.shape())],
  call: (t, x) => t.reshape(x, [-1]),
};

export const concat: OpRecord<[parts: readonly Tensor[], dim?: number]> = {
  name: "concat",
  doc: "parts one after another along dim",
  tolerance: "exact",
  differentiable: true,
  sample: (g) => {
    const shape = g.shape({ minRank: 1 });
    return [[g.tensor(shape), g.tensor(shape.map((d, i) => (i === 0 ? d + 1 : d))), g.tensor(shape)], 0];
  },
  call: (t, parts, dim = 0) => {
    const first = parts[0];
    if (first === undefined) throw new ShapeError("concat: no tensors");
    const d = resolveDim("concat", dim, first.rank);
    const total = parts.reduce((n, p) => n + p.shape[d]!, 0);
    let out: Tensor | undefined;
    let start = 0;
    for (const part of parts) {
      if (part.rank !== first.rank || part.shape.some((s, i) => i !== d && s !== first.shape[i]))
        throw new ShapeError(
          `concat: ${formatShape(part.shape)} does not continue ${formatShape(first.shape)} along dimension ${dim}`,
        );
      const placed = t.pad(
        part,
        part.shape.map((s, i) => (i === d ? ([start, total - start - s] as const) : ([0, 0] as const))),
      );
      // chosen by position, not added: NaN or −0 in one part never touches another
      out = out === undefined ? placed : t.where(t.lt(t.iota(placed, d), start), out, placed);
      start += part.shape[d]!;
    }
    return out!;
  },
};

export const stack: OpRecord<[parts: readonly Tensor[], dim?: number]> = {
  name: "stack",
  doc: "parts side by side along a new dimension",
  tolerance: "exact",
  differentiable: true,
  sample: (g) => {
    const shape = g.shape();
    return [[g.tensor(shape), g.tensor(shape)], 0];
  },
  call: (t, parts, dim = 0) =>
    t.concat(
      parts.map((p) => t.unsqueeze(p, dim)),
      dim,
    ),
};
