/**
 * A device that uses all the freedom it has: it walks the graph in f32, adds in any order, fuses or does not, and is as far off in a function
 * as the table of units allows, to either side. It shares the definitions of primitives with the reference and nothing with the bounds but
 * that table.
 */
import { isFloat, roundTo, type RandomStream, type Tensor, type TypedArray, floatsOf } from "@lowrank/tensor";
import { promiseOf, unitsOf, type Arithmetic, type Node } from "../../src/bounds/arithmetic.ts";

function unitOf(x: number): number {
  return x === 0 ? 2 ** -149 : 2 ** (Math.max(Math.floor(Math.log2(Math.abs(x))), -126) - 23);
}

function shuffled(x: number[], stream: RandomStream): number[] {
  for (let i = x.length - 1; i > 0; i--) {
    const j = stream.integer(i + 1);
    [x[i], x[j]] = [x[j]!, x[i]!];
  }
  return x;
}

/** Whether it fuses a multiplication or a sum with what follows is up to it, but not whether it stores more than f32. */
export function evaluateCarelessly(
  tensors: readonly Tensor[],
  stream: RandomStream,
  arithmetic: Arithmetic = "ieee",
): Float64Array[] {
  const all = new Set<Node>(tensors.map((x) => x.node));
  for (const node of all) for (const input of node.inputs) all.add(input);
  const values = new Map<Node, Float64Array>();
  const single = (dtype: Node["dtype"], x: Float64Array): Float64Array =>
    isFloat(dtype) ? roundTo(dtype === "f64" ? "f32" : dtype, x) : roundTo(dtype, x);
  /** Sum in f32, in some order. */
  const sum = (terms: number[]): number =>
    shuffled(terms, stream).reduce((s, t, i) => (i === 0 ? Math.fround(t) : Math.fround(s + t)), 0);

  const compute = (node: Node): Float64Array => {
    const { lowering } = node.primitive;
    const inputs = node.inputs.map((n) => ({ shape: n.shape, data: values.get(n)! }));
    const plain = (): Float64Array => node.primitive.reference(inputs, node.attrs, node.shape);
    if (lowering.class === "leaf") return floatsOf(node.dtype, (node.leaf as unknown as { data: TypedArray }).data);
    if (lowering.class === "unary") {
      const units = unitsOf(lowering.op, arithmetic);
      return plain().map((y) => {
        const [least, most] = promiseOf(lowering.op).limits ?? [-Infinity, Infinity];
        const off = Math.fround(y + (2 * stream.uniform() - 1) * units * unitOf(y));
        return y === 0 || off < least || off > most || Math.abs(off - y) > units * unitOf(y) ? y : off;
      });
    }
    if (lowering.class === "reduce" && lowering.combine === "sum" && isFloat(node.dtype))
      return reduce(node, inputs[0]!);
    if (lowering.class === "matmul") {
      const [m, n, k] = [node.shape.at(-2)!, node.shape.at(-1)!, inputs[0]!.shape.at(-1)!];
      return Float64Array.from({ length: values.size === 0 ? 0 : node.shape.reduce((a, b) => a * b, 1) }, (_, at) => {
        const row = Math.floor(at / n);
        const batch = Math.floor(row / m);
        const terms = Array.from(
          { length: k },
          (__, p) => inputs[0]!.data[row * k + p]! * inputs[1]!.data[(batch * k + p) * n + (at % n)]!,
        );
        return sum(stream.integer(2) === 0 ? terms : terms.map(Math.fround));
      });
    }
    return plain();
  };

  const reduce = (node: Node, x: { shape: readonly number[]; data: Float64Array }): Float64Array => {
    const terms = Array.from({ length: node.shape.reduce((a, b) => a * b, 1) }, (): number[] => []);
    x.data.forEach((v, i) => {
      let [rest, at, step] = [i, 0, 1];
      for (let d = x.shape.length - 1; d >= 0; d--) {
        const c = rest % x.shape[d]!;
        rest = Math.floor(rest / x.shape[d]!);
        if (node.shape[d] !== 1) at += c * step;
        step *= node.shape[d]!;
      }
      terms[at]!.push(v);
    });
    return Float64Array.from(terms, sum);
  };

  for (const node of [...all].sort((a, b) => a.id - b.id)) {
    const y = compute(node);
    values.set(node, node.primitive.lowering.class === "view" ? y : single(node.dtype, y.slice()));
  }
  return tensors.map((x) => values.get(x.node)!);
}
