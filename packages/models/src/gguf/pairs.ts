/**
 * Rows of a head that stand in pairs. llama.cpp turns neighbouring rows of queries and keys together, Hugging Face row j with row j + d/2:
 * row j of the first half is row 2j of a file, row j of the second 2j + 1.
 */

/** Where row r of a head of `rows` rows stands in a file. */
function placeOf(r: number, rows: number): number {
  return 2 * (r % (rows / 2)) + Math.floor((2 * r) / rows);
}

/**
 * Whole heads, their rows in the other order.
 * @param rows of a head, an even number
 * @param rowBytes of a row
 */
export function reordered(heads: Uint8Array, rows: number, rowBytes: number, to: "file" | "model"): Uint8Array {
  const out = new Uint8Array(heads.length);
  for (let head = 0; head < heads.length; head += rows * rowBytes)
    for (let r = 0; r < rows; r++) {
      const [model, file] = [head + r * rowBytes, head + placeOf(r, rows) * rowBytes];
      const [from, at] = to === "file" ? [model, file] : [file, model];
      out.set(heads.subarray(from, from + rowBytes), at);
    }
  return out;
}
