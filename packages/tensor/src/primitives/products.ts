/** What moves data between positions: matrix products, gathers and scatters of rows, blocks put at a position or side by side. */
import { sizeOf } from "../shape.ts";
import type { Primitive } from "./primitive.ts";

/** […, m, k] · […, k, n], of equal leading dimensions. */
export const matmul: Primitive = {
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
};

/** Rows of a table. Where an id is outside, the result is NaN (float) or 0: loud in training, never a wild read. */
export const gatherRows: Primitive = {
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
};

/** Rows with the same id added up; one outside is dropped. */
export const scatterRows: Primitive = {
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
};

/** x with a block of it replaced, which begins at a position along one dimension; a block that does not fit whole changes nothing. */
export const dynamicUpdate: Primitive = {
  name: "dynamicUpdate",
  lowering: { class: "update" },
  cost: 2,
  reference: ([x, block, at], attrs, shape) => {
    const dim = attrs["dim"] as number;
    const first = at!.data[0]!;
    const [size, length] = [shape[dim]!, block!.shape[dim]!];
    const out = x!.data.slice();
    if (first < 0 || first + length > size) return out;
    const inner = sizeOf(shape.slice(dim + 1));
    for (let outer = 0; outer < sizeOf(shape.slice(0, dim)); outer++) {
      const piece = block!.data.subarray(outer * length * inner, (outer + 1) * length * inner);
      out.set(piece, (outer * size + first) * inner);
    }
    return out;
  },
};

/** Tensors one after another along the first dimension, each computed where it lies in the whole, which is in memory. */
export const assemble: Primitive = {
  name: "assemble",
  lowering: { class: "assemble" },
  cost: 1000,
  reference: (parts, _attrs, shape) => {
    const out = new Float64Array(sizeOf(shape));
    let at = 0;
    for (const { data } of parts) {
      out.set(data, at);
      at += data.length;
    }
    return out;
  },
};
