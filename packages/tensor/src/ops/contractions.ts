/** Matrix products, gathers and scatters: the primitives that move data between positions. */
import { isFloat, promote } from "../dtype.ts";
import { DTypeError, ShapeError } from "../errors.ts";
import { indexCheckPrimitive, knownOnHost } from "../graph/index-checks.ts";
import { broadcastShapes, formatShape, resolveDim, sizeOf, stridesOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { OpRecord, Primitive } from "./record.ts";
import type { Toolbox } from "./toolbox.ts";

const matmulPrimitive: Primitive = {
  name: "matmul",
  lowering: { class: "matmul" },
  cost: 1000,
  reference: ([a, b], _attrs, shape) => {
    const rank = shape.length;
    const [m, n, k] = [shape[rank - 2]!, shape[rank - 1]!, a!.shape[rank - 1]!];
    const out = new Float64Array(sizeOf(shape));
    for (let batch = 0; batch < sizeOf(shape.slice(0, -2)); batch++) {
      for (let i = 0; i < m; i++) {
        const row = (batch * m + i) * n;
        for (let p = 0; p < k; p++) {
          const x = a!.data[(batch * m + i) * k + p]!;
          const from = (batch * k + p) * n;
          for (let j = 0; j < n; j++) out[row + j]! += x * b!.data[from + j]!;
        }
      }
    }
    return out;
  },
  // dA = G·Bᵀ, dB = Aᵀ·G
  vjp: (t, g, { inputs }) => [t.matmul(g, t.transpose(inputs[1]!)), t.matmul(t.transpose(inputs[0]!), g)],
};

export const matmul: OpRecord<[a: Tensor, b: Tensor]> = {
  name: "matmul",
  doc: "[…, m, k] · […, k, n] → […, m, n]; leading dimensions broadcast; a vector counts as a row on the left, a column on the right, and the dimension it was given is dropped: [n] · [n] → []",
  precision: "compute",
  tolerance: "reduction",
  differentiable: true,
  sample: (g) => {
    const [m, k, n] = [g.size(9), g.size(9), g.size(9)];
    const batch = g.shape({ maxRank: 2, maxDim: 3 });
    return [g.tensor([...batch, m, k]), g.tensor([...(g.boolean() ? batch : []), k, n])];
  },
  call: (t, a, b) => {
    if (a.rank === 0 || b.rank === 0)
      throw new ShapeError("matmul: operands need at least one dimension; use mul for scalars");
    const dtype = promote(a.dtype, b.dtype);
    if (!isFloat(dtype)) throw new DTypeError(`matmul: needs float tensors, got ${a.dtype} and ${b.dtype}`);
    const [k, kb] = [a.shape[a.rank - 1]!, b.shape[Math.max(b.rank - 2, 0)]!];
    if (k !== kb)
      throw new ShapeError(
        `matmul: inner dimensions differ: ${formatShape(a.shape)} · ${formatShape(b.shape)} (${k} ≠ ${kb})`,
      );
    if (b.rank === 1) return t.squeeze(t.matmul(a, t.reshape(b, [k, 1])), -1);
    if (a.rank === 1) return t.squeeze(t.matmul(t.reshape(a, [1, k]), b), -2);
    const [m, n] = [a.shape[a.rank - 2]!, b.shape[b.rank - 1]!];
    const [x, y] = [t.cast(a, dtype), t.cast(b, dtype)];
    // One big product instead of many small ones when the right side has no batch of its own.
    if (b.rank === 2 && a.rank > 2)
      return t.reshape(t.matmul(t.reshape(x, [sizeOf(a.shape.slice(0, -1)), k]), y), [...a.shape.slice(0, -1), n]);
    const batch = broadcastShapes("matmul", a.shape.slice(0, -2), b.shape.slice(0, -2));
    return t.make.node(
      matmulPrimitive,
      [t.expand(x, [...batch, m, k]), t.expand(y, [...batch, k, n])],
      {},
      [...batch, m, n],
      dtype,
    );
  },
};

/** Ids that the host knows are checked before each run, once. */
function asked(t: Toolbox, ids: Tensor, size: number, op: string, name: string): Tensor {
  return ids.node.record === indexCheckPrimitive ? ids : t.checkIndices(ids, { size, op, name });
}

/** Where an id computed on the device is outside the table the result is NaN (float) or 0: loud in training, never a wild read. */
const gatherPrimitive: Primitive = {
  name: "gatherRows",
  lowering: { class: "gather" },
  cost: 2,
  reference: ([table, ids], _attrs, shape) => {
    const rows = table!.shape[0]!;
    const width = rows === 0 ? 0 : table!.data.length / rows;
    const out = new Float64Array(sizeOf(shape));
    ids!.data.forEach((id, i) => {
      if (id < 0 || id >= rows) out.fill(NaN, i * width, (i + 1) * width);
      else out.set(table!.data.subarray(id * width, (id + 1) * width), i * width);
    });
    return out;
  },
  vjp: (t, g, { inputs }) => [t.scatterRows(inputs[1]!, g, inputs[0]!.shape[0]!), undefined],
};
export const gatherRows: OpRecord<[table: Tensor, ids: Tensor]> = {
  name: "gatherRows",
  doc: "table [rows, …rest] at ids […ids] → […ids, …rest]; an id outside that the device computed gives NaN",
  tolerance: "exact",
  differentiable: true,
  sample: (g) => {
    const rows = g.size(6);
    return [g.tensor([rows, ...g.shape({ maxRank: 2 })]), g.ints(g.shape({ maxRank: 2 }), 0, rows - 1)];
  },
  call: (t, table, ids) => {
    if (table.rank === 0) throw new ShapeError("gatherRows: the table needs at least one dimension");
    return t.make.node(
      gatherPrimitive,
      [table, t.cast(asked(t, ids, table.shape[0]!, "gatherRows", "id"), "i32")],
      {},
      [...ids.shape, ...table.shape.slice(1)],
      table.dtype,
    );
  },
};

const scatterPrimitive: Primitive = {
  name: "scatterRows",
  lowering: { class: "scatter" },
  cost: 1000,
  reference: ([ids, source], attrs, shape) => {
    const rows = attrs["rows"] as number;
    const width = rows === 0 ? 0 : sizeOf(shape) / rows;
    const out = new Float64Array(sizeOf(shape));
    ids!.data.forEach((id, i) => {
      if (id < 0 || id >= rows) return;
      for (let c = 0; c < width; c++) out[id * width + c]! += source!.data[i * width + c]!;
    });
    return out;
  },
  vjp: (t, g, { inputs }) => [undefined, t.gatherRows(g, inputs[0]!)],
};
export const scatterRows: OpRecord<[ids: Tensor, source: Tensor, rows: number]> = {
  name: "scatterRows",
  doc: "ids [n…], source [n…, …rest] → [rows, …rest]: rows with the same id are added up; an id outside that the device computed is dropped",
  tolerance: "reduction",
  differentiable: true,
  sample: (g) => {
    const rows = g.size(6);
    const lead = g.shape({ maxRank: 2 });
    return [g.ints(lead, 0, rows - 1), g.tensor([...lead, ...g.shape({ maxRank: 1 })]), rows];
  },
  call: (t, ids, source, rows) => {
    const n = ids.rank;
    if (source.rank < n || ids.shape.some((d, i) => d !== source.shape[i]))
      throw new ShapeError(
        `scatterRows: source ${formatShape(source.shape)} must begin with the shape of ids ${formatShape(ids.shape)}`,
      );
    return t.make.node(
      scatterPrimitive,
      [t.cast(asked(t, ids, rows, "scatterRows", "id"), "i32"), source],
      { rows },
      [rows, ...source.shape.slice(n)],
      source.dtype,
    );
  },
};

export const embedding: OpRecord<[weight: Tensor, ids: Tensor, paddingIndex?: number]> = {
  ...gatherRows,
  name: "embedding",
  doc: "weight [vocab, dim] at ids […] → […, dim]; repeated ids add up in the gradient, and look-ups of paddingIndex give none (torch's padding_idx)",
  call: (t, weight, wanted, paddingIndex) => {
    const ids = asked(t, wanted, weight.shape[0]!, "embedding", "id");
    const y = t.gatherRows(weight, ids);
    if (paddingIndex === undefined) return y;
    // −1 lies outside the table, where scatter drops it
    const counted = t.where(t.eq(ids, paddingIndex), t.make.scalar(-1, ids, "i32"), t.cast(ids, "i32"));
    return t.make.customVjp(y, [weight], (g) => [t.scatterRows(counted, g, weight.shape[0]!)]);
  },
};

/**
 * Position of (…, index, …) in row-major x, as i32: gather and scatter along one dimension are row gathers of the flattened tensor.
 * −1 where an index lies outside its dimension: the position would be that of another row.
 */
function flatPositions(t: Toolbox, shape: readonly number[], d: number, wanted: Tensor, op: string): Tensor {
  const strides = stridesOf(shape);
  const index = t.cast(asked(t, wanted, shape[d]!, op, "index"), "i32");
  let at = t.mul(index, strides[d]!);
  for (let i = 0; i < shape.length; i++)
    if (i !== d && index.shape[i]! > 1) at = t.add(at, t.mul(t.iota(index, i), strides[i]!));
  return knownOnHost(wanted.node) ? at : t.where(t.logicalAnd(t.ge(index, 0), t.lt(index, shape[d]!)), at, -1);
}

export const gather: OpRecord<[x: Tensor, dim: number, index: Tensor]> = {
  name: "gather",
  doc: "y[…i…] = x[…index[…i…]…] along dim; index has the rank of x",
  tolerance: "exact",
  differentiable: true,
  sample: (g) => {
    const shape = g.shape({ minRank: 1 });
    const d = g.integer(0, shape.length - 1);
    return [
      g.tensor(shape),
      d,
      g.ints(
        shape.map((s, i) => (i === d ? g.size(5) : g.size(s))),
        0,
        shape[d]! - 1,
      ),
    ];
  },
  call: (t, x, dim, index) => {
    const d = resolveDim("gather", dim, x.rank);
    if (index.rank !== x.rank || index.shape.some((s, i) => i !== d && s > x.shape[i]!))
      throw new ShapeError(
        `gather: index ${formatShape(index.shape)} does not fit ${formatShape(x.shape)} outside dimension ${dim}`,
      );
    return t.gatherRows(t.reshape(x, [-1]), flatPositions(t, x.shape, d, index, "gather"));
  },
};

export const scatterAdd: OpRecord<[x: Tensor, dim: number, index: Tensor, source: Tensor]> = {
  name: "scatterAdd",
  doc: "x with source added at index along dim; repeated positions add up",
  tolerance: "reduction",
  differentiable: true,
  sample: (g) => {
    const shape = g.shape({ minRank: 1 });
    const d = g.integer(0, shape.length - 1);
    const index = shape.map((s, i) => (i === d ? g.size(5) : g.size(s)));
    return [g.tensor(shape), d, g.ints(index, 0, shape[d]! - 1), g.tensor(index)];
  },
  call: (t, x, dim, index, source) => {
    const d = resolveDim("scatterAdd", dim, x.rank);
    if (index.rank !== x.rank || formatShape(index.shape) !== formatShape(source.shape))
      throw new ShapeError(
        `scatterAdd: index ${formatShape(index.shape)} and source ${formatShape(source.shape)} must have one shape and the rank of x ${formatShape(x.shape)}`,
      );
    return t.add(
      x,
      t.reshape(t.scatterRows(flatPositions(t, x.shape, d, index, "scatterAdd"), source, x.size), x.shape),
    );
  },
};

export const indexSelect: OpRecord<[x: Tensor, dim: number, index: Tensor]> = {
  name: "indexSelect",
  doc: "slices of x at index [n] along dim",
  tolerance: "exact",
  differentiable: true,
  sample: (g) => {
    const shape = g.shape({ minRank: 1 });
    const d = g.integer(0, shape.length - 1);
    return [g.tensor(shape), d, g.ints([g.size(6)], 0, shape[d]! - 1)];
  },
  call: (t, x, dim, index) =>
    t.transpose(
      t.gatherRows(
        t.transpose(x, dim, 0),
        asked(t, index, x.shape[resolveDim("indexSelect", dim, x.rank)]!, "indexSelect", "index"),
      ),
      dim,
      0,
    ),
};
