/**
 * What every engine is asked to do, and the numbers it does it on. Sizes and values only: how an engine does it is its own module's affair.
 * `amount` is what the rate counts: floating-point operations, bytes moved at least once, or elements.
 */

/** The same numbers everywhere. Two inputs of one task get different phases. */
export function numbers(count, phase = 0) {
  return Float32Array.from({ length: count }, (_, i) => Math.sin(0.37 * i + phase));
}

/** [rows, columns] → [columns, rows], for engines that want a weight the other way round. */
export function transposed(values, rows, columns) {
  const out = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = values[r * columns + c];
  return out;
}

/** x [m, k] · w [n, k]ᵀ: a layer with torch's weight layout; w stays the same from call to call. */
function product(name, m, k, n, epilogue = "none") {
  return { name, kind: "product", m, k, n, epilogue, unit: "GFLOP/s", amount: 2 * m * k * n };
}

const MILLION = 1 << 20;
const F32 = 4;

const kernels = [
  product("product 512³", 512, 512, 512),
  product("product 1024³", 1024, 1024, 1024),
  product("product 2048³", 2048, 2048, 2048),
  product("product 1024×256·256×1024", 1024, 256, 1024),
  product("product 512×768·768×3072 + bias + GELU", 512, 768, 3072, "bias-gelu"),
  product("product 1024×256·256×8", 1024, 256, 8),
  { name: "softmax 512×768", kind: "softmax", rows: 512, columns: 768, unit: "ns/element", amount: 512 * 768 },
  { name: "layer norm 1024×768", kind: "layer-norm", rows: 1024, columns: 768, epsilon: 1e-12, unit: "ns/element", amount: 1024 * 768 },
  { name: "add, 1 M", kind: "add", count: MILLION, unit: "GB/s", amount: 3 * F32 * MILLION },
  { name: "GELU, 1 M", kind: "gelu", count: MILLION, unit: "ns/element", amount: MILLION },
  { name: "sum of columns 1024×768", kind: "columns", rows: 1024, columns: 768, unit: "GB/s", amount: F32 * 1024 * 768 },
];

export const BERT = { layers: 4, hidden: 256, heads: 4, inner: 1024, vocabulary: 30522, positions: 512, labels: 2, epsilon: 1e-12, rank: 8, alpha: 16, batch: 32, length: 32, rate: 1e-3, decay: 0.01, beta1: 0.9, beta2: 0.999, adamEpsilon: 1e-8, maxNorm: 1 };

/** No dropout; the step: forward, backward, clipping by global norm, AdamW. Arithmetic that must be done: 2 per weight and token forward, 2 for the input's gradient; attention's two products forward, four backward. */
const tokens = BERT.batch * BERT.length;
const step = {
  name: "LoRA step, BERT 4×256, batch 32×32", kind: "step", ...BERT, unit: "GFLOP/s",
  amount: 4 * BERT.layers * 12 * BERT.hidden ** 2 * tokens + 3 * BERT.layers * 4 * tokens * BERT.length * BERT.hidden,
};
const forward = {
  name: "forward, BERT 4×256, batch 32×32", kind: "forward", ...BERT, unit: "GFLOP/s",
  amount: 2 * BERT.layers * 12 * BERT.hidden ** 2 * tokens + BERT.layers * 4 * tokens * BERT.length * BERT.hidden,
};

export const works = [...kernels, forward, step];

/** An engine throws this where a task is beyond it; the words go into the table. */
export class Cannot extends Error {}
