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
  /** What the operands are in memory where they are weights or constants: `u8` under dequantization; undefined for activations. */
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

/** The dtype of the parameter or constant behind views, casts and dequantization. */
function storedAs(node: Node): DType | undefined {
  let at = node;
  while (at.leaf === undefined) {
    const { class: kind } = at.primitive.lowering;
    if (kind !== "view" && kind !== "cast" && kind !== "dequantize") return undefined;
    at = at.inputs[0]!;
  }
  return at.leaf.kind === "cell" || at.leaf.kind === "constant" ? at.dtype : undefined;
}
