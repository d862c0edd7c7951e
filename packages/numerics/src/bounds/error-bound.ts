/**
 * How far a device may be from f64, element by element: a walk over the graph of primitives, as the reference engine's, that carries an
 * interval beside each number. A softmax that is off by 1e-3 in one place, or a row whose maximum was not subtracted, has nothing to hide
 * behind: no element is measured by the size of another.
 *
 * The rules are a table by lowering class, so composed ops and gradients need none of their own. An interval knows nothing of
 * what two operands have in common, so that x − x of something computed is as wide as two errors: bounds of long chains are loose, never too tight.
 */
import { floatsOf, isFloat, roundTo, Tensor, type TypedArray } from "@lowrank/tensor";
import type { Arithmetic, Node } from "./arithmetic.ts";
import { binaryRule } from "./binary.ts";
import { settle, type Enclosure } from "./enclosure.ts";
import {
  castRule,
  dequantizeRule,
  gatherRule,
  givenRule,
  randomRule,
  selectRule,
  assembleRule,
  updateRule,
  viewRule,
} from "./moved.ts";
import type { Rule } from "./site.ts";
import { matmulRule, reduceRule, scatterRule } from "./sums.ts";
import { unaryRule } from "./unary.ts";

type LoweringClass = Node["primitive"]["lowering"]["class"];

interface Entry {
  readonly rule: Rule;
  /** Whether small results may be flushed to zero: not where values are only moved. */
  readonly computes: boolean;
}

const RULES: Readonly<Record<LoweringClass, Entry>> = {
  leaf: { rule: givenRule, computes: false },
  constant: { rule: givenRule, computes: false },
  iota: { rule: givenRule, computes: false },
  random: { rule: randomRule, computes: false },
  view: { rule: viewRule, computes: false },
  gather: { rule: gatherRule, computes: false },
  update: { rule: updateRule, computes: false },
  assemble: { rule: assembleRule, computes: false },
  select: { rule: selectRule, computes: false },
  cast: { rule: castRule, computes: false },
  unary: { rule: unaryRule, computes: true },
  binary: { rule: binaryRule, computes: true },
  dequantize: { rule: dequantizeRule, computes: true },
  reduce: { rule: reduceRule, computes: true },
  matmul: { rule: matmulRule, computes: true },
  scatter: { rule: scatterRule, computes: true },
};

/** Moving a sign or choosing one of two is not arithmetic. */
const MOVES = new Set<string>(["neg", "abs", "max", "min"]);

function computes({ primitive: { lowering } }: Node): boolean {
  if (lowering.class === "unary" || lowering.class === "binary") return !MOVES.has(lowering.op);
  if (lowering.class === "reduce") return lowering.combine === "sum";
  return RULES[lowering.class].computes;
}

export interface ErrorBoundOptions {
  /** What the device promises of single operations. Default `ieee`. */
  readonly arithmetic?: Arithmetic;
}

/**
 * The reference's values of `tensors`, which stand on the `reference` device, and the interval in which each element must lie on a device
 * that computes in f32. What the graph holds in f64 counts as f32; inputs are taken as rounded to it.
 */
export async function errorBound(
  tensors: readonly Tensor[],
  options: ErrorBoundOptions = {},
): Promise<readonly Enclosure[]> {
  const arithmetic = options.arithmetic ?? "ieee";
  const enclosed = new Map<Node, Enclosure>();
  for (const node of inOrder(tensors.map((x) => x.node))) {
    const inputs = node.inputs.map((n) => enclosed.get(n)!);
    const value =
      node.primitive.lowering.class === "leaf" ? await leafValues(node, tensors[0]!.device) : evaluate(node, inputs);
    const ends = RULES[node.primitive.lowering.class].rule({ node, inputs, value, arithmetic });
    enclosed.set(node, settle(node.shape, node.dtype, value, ends, computes(node) && isFloat(node.dtype)));
  }
  return tensors.map((x) => enclosed.get(x.node)!);
}

/** As the reference engine has it. */
function evaluate(node: Node, inputs: readonly Enclosure[]): Float64Array {
  const data = node.primitive.reference(
    inputs.map((x) => ({ shape: x.shape, data: x.value })),
    node.attrs,
    node.shape,
  );
  return node.primitive.lowering.class === "view" ? data : roundTo(node.dtype, data);
}

async function leafValues(node: Node, device: Tensor["device"]): Promise<Float64Array> {
  const leaf = node.leaf;
  if (leaf?.kind === "host") return floatsOf(node.dtype, leaf.data as TypedArray);
  return new Tensor(node, device).floats();
}

/** Everything that `roots` are made of, values that have been read included; nodes are numbered as they are made, inputs first. */
function inOrder(roots: readonly Node[]): Node[] {
  const seen = new Set<Node>(roots);
  // grows while it is gone through
  for (const node of seen) for (const input of node.inputs) seen.add(input);
  return [...seen].sort((a, b) => a.id - b.id);
}
