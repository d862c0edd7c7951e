/** Gathers and scatters: what picks rows by index and puts them back. */
import { isFloat } from "../dtype.ts";
import { DTypeError, ShapeError } from "../errors.ts";
import { knownOnHost } from "../graph/index-checks.ts";
import * as primitives from "../primitives/products.ts";
import { checkIndices as indexCheck } from "../primitives/views.ts";
import { formatShape, resolveDim, stridesOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { add, eq, ge, logicalAnd, lt, mul } from "./binary.ts";
import { checkIndices } from "./indices.ts";
import { customVjp, makeNode, scalar } from "./make.ts";
import { ALL_DTYPES, type OpRecords, type Refusal, type SampleSource, type TensorSpec } from "./record.ts";
import { cast, iota, where } from "./sources.ts";
import { reshape, transpose } from "./views.ts";

/** Ids that the host knows are checked before each run, once. */
function asked(ids: Tensor, size: number, op: string, name: string): Tensor {
  return ids.node.primitive === indexCheck ? ids : checkIndices(ids, { size, op, name });
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
 * computed is dropped. Floats only; half precision is added up in full and rounded once.
 */
export function scatterRows(ids: Tensor, source: Tensor, rows: number): Tensor {
  const n = ids.rank;
  if (source.rank < n || ids.shape.some((d, i) => d !== source.shape[i]))
    throw new ShapeError(
      `scatterRows: source ${formatShape(source.shape)} must begin with the shape of ids ${formatShape(ids.shape)}`,
    );
  if (!isFloat(source.dtype))
    throw new DTypeError(`scatterRows: the source must be float, got ${source.dtype}; cast it first`);
  // rows are added up in full precision whatever they are made of, and rounded once
  const half = source.dtype === "f16" || source.dtype === "bf16";
  const wide = half ? cast(source, source.device.defaultFloat) : source;
  const total = makeNode(
    primitives.scatterRows,
    [cast(asked(ids, rows, "scatterRows", "id"), "i32"), wide],
    { rows },
    [rows, ...source.shape.slice(n)],
    wide.dtype,
  );
  return cast(total, source.dtype);
}

/**
 * weight [vocab, dim] at ids […] → […, dim]; repeated ids add up in the gradient, and look-ups of paddingIndex give
 * none (torch's padding_idx).
 */
export function embedding(weight: Tensor, wanted: Tensor, paddingIndex?: number): Tensor {
  if (weight.rank === 0) throw new ShapeError("embedding: the weight needs at least one dimension");
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

function sampleLookup(g: SampleSource): readonly unknown[] {
  const rows = g.size(6);
  return [g.tensor([rows, ...g.shape({ maxRank: 2 })]), g.ints(g.shape({ maxRank: 2 }), 0, rows - 1)];
}

function refuseLookup(g: SampleSource): readonly Refusal[] {
  return [
    ["a table without rows", "ShapeError", [g.tensor([]), g.ints([2], 0, 1)]],
    ["ids that are no integers", "DTypeError", [g.tensor([3, 2]), g.tensor([2])]],
    ["an id outside", "ValueError", [g.tensor([3, 2]), g.ints([2], 3, 3)]],
  ];
}

/** What tests know of these ops. */
export const rowsRecords: OpRecords = {
  gatherRows: {
    tolerance: "exact",
    differentiable: true,
    dtypes: ALL_DTYPES,
    sample: sampleLookup,
    refuses: refuseLookup,
  },
  scatterRows: {
    tolerance: "reduction",
    differentiable: true,
    refuses: (g) => [
      ["a source that does not begin as the ids", "ShapeError", [g.ints([2], 0, 1), g.tensor([3, 2]), 2]],
      ["an id outside", "ValueError", [g.ints([2], 2, 2), g.tensor([2, 2]), 2]],
      ["integers to add up", "DTypeError", [g.ints([2], 0, 1), g.ints([2, 2], 0, 3), 2]],
    ],
    sample: (g) => {
      const rows = g.size(6);
      const lead = g.shape({ maxRank: 2 });
      return [g.ints(lead, 0, rows - 1), g.tensor([...lead, ...g.shape({ maxRank: 1 })]), rows];
    },
  },
  embedding: {
    tolerance: "exact",
    differentiable: true,
    // the row of paddingIndex gets no gradient though it is looked up
    isDerivative: (args) => args.length < 3,
    sample: (g) => {
      const [weight, ids] = sampleLookup(g) as [TensorSpec, TensorSpec];
      return [weight, ids, ...(g.boolean() ? [g.integer(0, Math.max(0, weight.shape[0]! - 1))] : [])];
    },
    refuses: refuseLookup,
  },
  gather: {
    tolerance: "exact",
    differentiable: true,
    dtypes: ALL_DTYPES,
    refuses: (g) => [
      ["an index of another rank", "ShapeError", [g.tensor([2, 3]), 1, g.ints([2], 0, 1)]],
      ["an index outside", "ValueError", [g.tensor([2, 3]), 1, g.ints([2, 1], 3, 3)]],
      ["a dimension that there is not", "ShapeError", [g.tensor([2, 3]), 2, g.ints([2, 3], 0, 1)]],
    ],
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
    refuses: (g) => [
      ["a source of another shape", "ShapeError", [g.tensor([2, 3]), 1, g.ints([2, 1], 0, 1), g.tensor([2, 2])]],
      ["an index outside", "ValueError", [g.tensor([2, 3]), 1, g.ints([2, 1], 3, 3), g.tensor([2, 1])]],
    ],
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
    dtypes: ALL_DTYPES,
    refuses: (g) => [["an index outside", "ValueError", [g.tensor([2, 3]), 1, g.ints([2], 3, 3)]]],
    sample: (g) => {
      const shape = g.shape({ minRank: 1 });
      const d = g.integer(0, shape.length - 1);
      return [g.tensor(shape), d, g.ints([g.size(6)], 0, shape[d]! - 1)];
    },
  },
};
