/** Gathers and scatters: what picks rows by index and puts them back. */
import { ShapeError } from "../errors.ts";
import { knownOnHost } from "../graph/index-checks.ts";
import * as primitives from "../primitives/products.ts";
import { checkIndices as indexCheck } from "../primitives/views.ts";
import { formatShape, resolveDim, stridesOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { add, eq, ge, logicalAnd, lt, mul } from "./binary.ts";
import { checkIndices } from "./indices.ts";
import { customVjp, makeNode, scalar } from "./make.ts";
import type { OpRecord, OpRecords } from "./record.ts";
import { cast, iota, where } from "./sources.ts";
import { reshape, transpose } from "./views.ts";

/** Ids that the host knows are checked before each run, once. */
function asked(ids: Tensor, size: number, op: string, name: string): Tensor {
  return ids.node.record === indexCheck ? ids : checkIndices(ids, { size, op, name });
}

/** table [rows, …rest] at ids […ids] → […ids, …rest]; an id outside that the device computed gives NaN. */
export function gatherRows(table: Tensor, ids: Tensor): Tensor {
  if (table.rank === 0) throw new ShapeError("gatherRows: the table needs at least one dimension");
  return makeNode(
    primitives.gatherRows,
    [table, cast(asked(ids, table.shape[0]!, "gatherRows", "id"), "i32")],
    {},
    [...ids.shape, ...table.shape.slice(1)],
    table.dtype,
  );
}

/**
 * ids [n…], source [n…, …rest] → [rows, …rest]: rows with the same id are added up; an id outside that the device
 * computed is dropped.
 */
export function scatterRows(ids: Tensor, source: Tensor, rows: number): Tensor {
  const n = ids.rank;
  if (source.rank < n || ids.shape.some((d, i) => d !== source.shape[i]))
    throw new ShapeError(
      `scatterRows: source ${formatShape(source.shape)} must begin with the shape of ids ${formatShape(ids.shape)}`,
    );
  return makeNode(
    primitives.scatterRows,
    [cast(asked(ids, rows, "scatterRows", "id"), "i32"), source],
    { rows },
    [rows, ...source.shape.slice(n)],
    source.dtype,
  );
}

/**
 * weight [vocab, dim] at ids […] → […, dim]; repeated ids add up in the gradient, and look-ups of paddingIndex give
 * none (torch's padding_idx).
 */
export function embedding(weight: Tensor, wanted: Tensor, paddingIndex?: number): Tensor {
  const ids = asked(wanted, weight.shape[0]!, "embedding", "id");
  const y = gatherRows(weight, ids);
  if (paddingIndex === undefined) return y;
  // −1 lies outside the table, where scatter drops it
  const counted = where(eq(ids, paddingIndex), scalar(-1, ids, "i32"), cast(ids, "i32"));
  return customVjp(y, [weight], (g) => [scatterRows(counted, g, weight.shape[0]!)]);
}

/**
 * Position of (…, index, …) in row-major x, as i32: gather and scatter along one dimension are row gathers of the flattened tensor.
 * −1 where an index lies outside its dimension: the position would be that of another row.
 */
function flatPositions(shape: readonly number[], d: number, wanted: Tensor, op: string): Tensor {
  const strides = stridesOf(shape);
  const index = cast(asked(wanted, shape[d]!, op, "index"), "i32");
  let at = mul(index, strides[d]!);
  for (let i = 0; i < shape.length; i++)
    if (i !== d && index.shape[i]! > 1) at = add(at, mul(iota(index, i), strides[i]!));
  return knownOnHost(wanted.node) ? at : where(logicalAnd(ge(index, 0), lt(index, shape[d]!)), at, -1);
}

/** y[…i…] = x[…index[…i…]…] along dim; index has the rank of x. */
export function gather(x: Tensor, dim: number, index: Tensor): Tensor {
  const d = resolveDim("gather", dim, x.rank);
  if (index.rank !== x.rank || index.shape.some((s, i) => i !== d && s > x.shape[i]!))
    throw new ShapeError(
      `gather: index ${formatShape(index.shape)} does not fit ${formatShape(x.shape)} outside dimension ${dim}`,
    );
  return gatherRows(reshape(x, [-1]), flatPositions(x.shape, d, index, "gather"));
}

/** x with source added at index along dim; repeated positions add up. */
export function scatterAdd(x: Tensor, dim: number, index: Tensor, source: Tensor): Tensor {
  const d = resolveDim("scatterAdd", dim, x.rank);
  if (index.rank !== x.rank || formatShape(index.shape) !== formatShape(source.shape))
    throw new ShapeError(
      `scatterAdd: index ${formatShape(index.shape)} and source ${formatShape(source.shape)} must have one shape and the rank of x ${formatShape(x.shape)}`,
    );
  return add(x, reshape(scatterRows(flatPositions(x.shape, d, index, "scatterAdd"), source, x.size), x.shape));
}

/** Slices of x at index [n] along dim. */
export function indexSelect(x: Tensor, dim: number, index: Tensor): Tensor {
  return transpose(
    gatherRows(
      transpose(x, dim, 0),
      asked(index, x.shape[resolveDim("indexSelect", dim, x.rank)]!, "indexSelect", "index"),
    ),
    dim,
    0,
  );
}

const lookup: OpRecord = {
  tolerance: "exact",
  differentiable: true,
  sample: (g) => {
    const rows = g.size(6);
    return [g.tensor([rows, ...g.shape({ maxRank: 2 })]), g.ints(g.shape({ maxRank: 2 }), 0, rows - 1)];
  },
};

/** What tests know of these ops. */
export const rowsRecords: OpRecords = {
  gatherRows: lookup,
  scatterRows: {
    tolerance: "reduction",
    differentiable: true,
    sample: (g) => {
      const rows = g.size(6);
      const lead = g.shape({ maxRank: 2 });
      return [g.ints(lead, 0, rows - 1), g.tensor([...lead, ...g.shape({ maxRank: 1 })]), rows];
    },
  },
  embedding: lookup,
  gather: {
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
  },
  scatterAdd: {
    tolerance: "reduction",
    differentiable: true,
    sample: (g) => {
      const shape = g.shape({ minRank: 1 });
      const d = g.integer(0, shape.length - 1);
      const index = shape.map((s, i) => (i === d ? g.size(5) : g.size(s)));
      return [g.tensor(shape), d, g.ints(index, 0, shape[d]! - 1), g.tensor(index)];
    },
  },
  indexSelect: {
    tolerance: "exact",
    differentiable: true,
    sample: (g) => {
      const shape = g.shape({ minRank: 1 });
      const d = g.integer(0, shape.length - 1);
      return [g.tensor(shape), d, g.ints([g.size(6)], 0, shape[d]! - 1)];
    },
  },
};
