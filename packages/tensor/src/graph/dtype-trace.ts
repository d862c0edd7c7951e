/** Which dtypes a program really uses: read off the graph that runs, not off a flag. */
import type { DType } from "../dtype.ts";
import { bytesOf } from "../dtype.ts";
import { sizeOf } from "../shape.ts";
import type { Node } from "./node.ts";
import type { Program } from "./program.ts";

export interface ProductTrace {
  /** dtypes of both operands and of the result. Products accumulate in f32 (f64 on `reference`). */
  readonly operands: readonly [DType, DType];
  readonly result: DType;
  /** What the operands are in memory where they are weights or constants: `u8` where codes are decoded; undefined for activations. */
  readonly stored: readonly [DType | undefined, DType | undefined];
  readonly count: number;
}

export interface DTypeTrace {
  readonly products: readonly ProductTrace[];
  /** Bytes of parameters, optimizer state and constants the program touches, by dtype. */
  readonly storage: Readonly<Partial<Record<DType, number>>>;
  /** Reductions (norms, softmax, losses) by the dtype they are carried in. */
  readonly reductions: Readonly<Partial<Record<DType, number>>>;
}

export function traceDTypes(program: Program): DTypeTrace {
  const products = new Map<string, ProductTrace>();
  const storage: Partial<Record<DType, number>> = {};
  const reductions: Partial<Record<DType, number>> = {};
  for (const { dtype, shape } of [...program.cells, ...program.constants])
    storage[dtype] = (storage[dtype] ?? 0) + bytesOf(dtype) * sizeOf(shape);
  for (const node of program.nodes) {
    if (node.leaf !== undefined) continue;
    const { lowering } = node.primitive;
    if (lowering.class === "reduce") reductions[node.dtype] = (reductions[node.dtype] ?? 0) + 1;
    if (lowering.class !== "matmul") continue;
    const [a, b] = node.inputs as [Node, Node];
    const entry = {
      operands: [a.dtype, b.dtype] as const,
      result: node.dtype,
      stored: [storedAs(a), storedAs(b)] as const,
    };
    const key = JSON.stringify(entry);
    products.set(key, { ...entry, count: (products.get(key)?.count ?? 0) + 1 });
  }
  return { products: [...products.values()].sort((x, y) => y.count - x.count), storage, reductions };
}

/** What a weight may be decoded by: arithmetic and choices, nothing that sums or draws. */
const DECODES: ReadonlySet<string> = new Set([
  "unary",
  "binary",
  "select",
  "cast",
  "constant",
  "iota",
  "dequantize",
  "view",
  "gather",
]);

/**
 * The narrowest dtype of the parameters and constants that a value is made of, where it is made of nothing else: a weight, or codes and the
 * scales and tables that decode them. Undefined for activations.
 */
function storedAs(value: Node): DType | undefined {
  const seen = new Set<Node>([value]);
  let narrowest: DType | undefined;
  for (const node of seen) {
    if (node.leaf === undefined) {
      if (!DECODES.has(node.primitive.lowering.class)) return undefined;
      for (const input of node.inputs) seen.add(input);
      continue;
    }
    if (node.leaf.kind !== "cell" && node.leaf.kind !== "constant") return undefined;
    if (narrowest === undefined || bytesOf(node.dtype) < bytesOf(narrowest)) narrowest = node.dtype;
  }
  return narrowest;
}
