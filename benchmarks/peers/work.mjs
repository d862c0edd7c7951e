/**
 * What every engine is asked to do, and the numbers it does it on. Sizes and values only: how an engine does it is its own module's affair.
 * `amount` is what the rate counts: floating-point operations, bytes moved at least once, or elements.
 */

/** The same numbers everywhere. Two inputs of one task get different phases. */
export function numbers(count, phase = 0) {
  return Float32Array.from({ length: count }, (_, i) => Math.sin(0.37 * i + phase));
}

/** Two results of `read`, one after the other. */
export async function twice(read) {
  const first = Float32Array.from(await read());
  return Float32Array.from([first, await read()].flatMap((values) => Array.from(values)));
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

/**
 * What a dropout of x leaves, twice in a row: [share kept, share kept both times, largest deviation of a kept value from x / (1 − p)]. Masks differ
 * from engine to engine; these do not. The same mask twice shows in the second number.
 */
function dropoutSummary(values, { count, p }) {
  const x = numbers(count);
  let [kept, both, deviation] = [0, 0, 0];
  for (let i = 1; i < count; i++) {
    // x[0] is 0
    if (values[i] !== 0) {
      kept++;
      if (values[count + i] !== 0) both++;
      deviation = Math.max(deviation, Math.abs(values[i] - x[i] / (1 - p)));
    }
  }
  return [kept / count, both / count, deviation];
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
  product("product 1024×8·8×256", 1024, 8, 256),
  {
    name: "128 products 32×64·64×32",
    kind: "batched",
    count: 128,
    m: 32,
    k: 64,
    n: 32,
    unit: "GFLOP/s",
    amount: 2 * 128 * 32 * 64 * 32,
  },
  { name: "softmax 4096×32", kind: "softmax", rows: 4096, columns: 32, unit: "ns/element", amount: 4096 * 32 },
  { name: "softmax 512×768", kind: "softmax", rows: 512, columns: 768, unit: "ns/element", amount: 512 * 768 },
  {
    name: "layer norm 1024×768",
    kind: "layer-norm",
    rows: 1024,
    columns: 768,
    epsilon: 1e-12,
    unit: "ns/element",
    amount: 1024 * 768,
  },
  { name: "add, 1 M", kind: "add", count: MILLION, unit: "GB/s", amount: 3 * F32 * MILLION },
  { name: "GELU, 1 M", kind: "gelu", count: MILLION, unit: "ns/element", amount: MILLION },
  // shares of 2²⁰ draws: σ ≤ 0.0004, of a difference 0.0006; 4e-3 of 0.9 is six of those
  {
    name: "dropout, 1 M",
    kind: "dropout",
    count: MILLION,
    p: 0.1,
    summary: dropoutSummary,
    agreement: 4e-3,
    unit: "ns/element",
    amount: MILLION,
  },
  {
    name: "sum of columns 1024×768",
    kind: "columns",
    rows: 1024,
    columns: 768,
    unit: "GB/s",
    amount: F32 * 1024 * 768,
  },
];

export const BERT = {
  layers: 4,
  hidden: 256,
  heads: 4,
  inner: 1024,
  vocabulary: 30522,
  positions: 512,
  labels: 2,
  epsilon: 1e-12,
  rank: 8,
  alpha: 16,
  batch: 32,
  length: 32,
  rate: 1e-3,
  decay: 0.01,
  beta1: 0.9,
  beta2: 0.999,
  adamEpsilon: 1e-8,
  maxNorm: 1,
  dropout: 0,
  losses: 3,
};

/** The step: forward, backward, clipping by global norm, AdamW. Arithmetic that must be done: 2 per weight and token forward, 2 for the input's gradient; attention's two products forward, four backward. */
const tokens = BERT.batch * BERT.length;
const step = {
  name: "LoRA step without dropout, BERT 4×256, batch 32×32",
  kind: "step",
  ...BERT,
  unit: "GFLOP/s",
  amount: 4 * BERT.layers * 12 * BERT.hidden ** 2 * tokens + 3 * BERT.layers * 4 * tokens * BERT.length * BERT.hidden,
};
/**
 * The same with dropout where BERT and PEFT have it: embeddings, attention weights, both ends of a layer, the head, each adapter's input. Masks
 * differ, so means over the first losses are only alike: seen within 5 %, where leaving dropout out makes 20 %. That gradients are right shows in the
 * step without.
 */
const stepWithDropout = {
  ...step,
  name: "LoRA step, BERT 4×256, batch 32×32",
  dropout: 0.1,
  losses: 8,
  agreement: 0.15,
  summary: (losses) => [losses.reduce((a, b) => a + b, 0) / losses.length],
};
const forward = {
  name: "forward, BERT 4×256, batch 32×32",
  kind: "forward",
  ...BERT,
  unit: "GFLOP/s",
  amount: 2 * BERT.layers * 12 * BERT.hidden ** 2 * tokens + BERT.layers * 4 * tokens * BERT.length * BERT.hidden,
};

export const works = [...kernels, forward, step, stepWithDropout];

/** An engine throws this where a task is beyond it; the words go into the table. */
export class Cannot extends Error {}
