/** Which dtypes a program really uses: read off the graph that runs, not off a flag. */
import type { DType } from "../dtype.ts";
import { bytesOf } from "../dtype.ts";
import { add } from "../primitives/binary.ts";
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
  /** What norms are given, before they widen it. */
  readonly norms: NormTrace;
}

/** Norms by the dtype that what they are given was rounded to last. */
export interface NormTrace {
  /** Of sums in which one side is no layer's product: the residual stream, which every block reads or ends in. */
  readonly sums: Readonly<Partial<Record<DType, number>>>;
  /** Of anything else: looked-up rows, a product's result with its bias and its adapters. */
  readonly others: Readonly<Partial<Record<DType, number>>>;
}

export function traceDTypes(program: Program): DTypeTrace {
  const products = new Map<string, ProductTrace>();
  const storage: Partial<Record<DType, number>> = {};
  const reductions: Partial<Record<DType, number>> = {};
  const layers = new Set<Node>();
  const norms: Record<keyof NormTrace, Partial<Record<DType, number>>> = { sums: {}, others: {} };
  for (const { dtype, shape } of [...program.cells, ...program.constants])
    storage[dtype] = (storage[dtype] ?? 0) + bytesOf(dtype) * sizeOf(shape);
  for (const node of program.nodes) {
    if (node.leaf !== undefined) continue;
    const { lowering } = node.primitive;
    if (isProduct(node, layers)) layers.add(node);
    const norm = node.composites?.find(({ name }) => NORMS.has(name));
    if (norm !== undefined) {
      const { sum, dtype } = givenTo(norm.inputs[0]!, layers);
      const counts = norms[sum ? "sums" : "others"];
      counts[dtype] = (counts[dtype] ?? 0) + 1;
    }
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
  return { products: [...products.values()].sort((x, y) => y.count - x.count), storage, reductions, norms };
}

/** What a value is, seen through views and casts: whether something that is no product was added up in it, and the narrowest dtype on the way. */
function givenTo(value: Node, products: ReadonlySet<Node>): { readonly sum: boolean; readonly dtype: DType } {
  let [at, { dtype }] = [value, value];
  while (at.leaf === undefined && (at.primitive.lowering.class === "view" || at.primitive.lowering.class === "cast")) {
    at = at.inputs[0]!;
    if (bytesOf(at.dtype) < bytesOf(dtype)) dtype = at.dtype;
  }
  // a product with its bias, or with an adapter's, is no stream
  const sum =
    at.leaf === undefined &&
    at.primitive === add &&
    !products.has(at) &&
    at.inputs.every((x) => storedAs(x) === undefined);
  return { sum, dtype };
}

/** Whether a value is what a layer gives: a product, scaled, with what was dropped or a bias or other products on it. @param products those of its inputs */
function isProduct(node: Node, products: ReadonlySet<Node>): boolean {
  if (node.leaf !== undefined || isNorm(node)) return false;
  const given = node.inputs.filter((x) => products.has(x));
  switch (node.primitive.lowering.class) {
    case "matmul":
      return true;
    case "view":
    case "cast":
    case "select":
      return given.length > 0;
    case "binary":
      if (given.length === 0) return false;
      return node.primitive !== add || node.inputs.every((x) => products.has(x) || storedAs(x) !== undefined);
    default:
      return false;
  }
}

function isNorm({ composites }: Node): boolean {
  return composites?.some(({ name }) => NORMS.has(name)) === true;
}
const NORMS: ReadonlySet<string> = new Set(["layerNorm", "rmsNorm"]);

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
