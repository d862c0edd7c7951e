/** Shape arithmetic: sizes, strides, broadcasting, dimension checks. */
import { quote, ShapeError } from "./errors.ts";

export type Shape = readonly number[];

export function sizeOf(shape: Shape): number {
  let n = 1;
  for (const d of shape) n *= d;
  return n;
}

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    strides[d] = step;
    step *= shape[d]!;
  }
  return strides;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((d, i) => d === b[i]);
}

export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** numpy's rule: align at the right; a dimension of 1 stretches. */
export function broadcastShapes(op: string, ...shapes: readonly Shape[]): number[] {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  const out = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    for (let d = 0; d < shape.length; d++) {
      const at = rank - shape.length + d;
      const size = shape[d]!;
      if (out[at] === 1) out[at] = size;
      else if (size !== 1 && size !== out[at]) {
        throw new ShapeError(
          `${op}: shapes do not broadcast: ${shapes.map(formatShape).join(" and ")} (${size} ≠ ${out[at]} in dimension ${at - rank})`,
        );
      }
    }
  }
  return out;
}

/** Resolves a possibly negative dimension. */
export function resolveDim(op: string, dim: number, rank: number): number {
  const d = dim < 0 ? dim + rank : dim;
  if (!Number.isInteger(d) || d < 0 || d >= Math.max(rank, 1)) {
    throw new ShapeError(
      `${op}: dimension ${dim} does not exist in a tensor of rank ${rank}; use ${-rank}…${rank - 1}`,
    );
  }
  return d;
}

export function resolveDims(op: string, dims: readonly number[] | number | undefined, rank: number): number[] {
  if (dims === undefined) return Array.from({ length: rank }, (_, i) => i);
  if (typeof dims !== "number" && !Array.isArray(dims))
    throw new ShapeError(`${op}: dims must be a whole number or a list of them, got ${quote(dims)}`);
  const list = (typeof dims === "number" ? [dims] : dims).map((d) => resolveDim(op, d, rank));
  if (new Set(list).size !== list.length) throw new ShapeError(`${op}: dimension named twice in [${list.join(", ")}]`);
  return list.sort((a, b) => a - b);
}

/** Calls `visit` with every index of `shape` in row-major order; the array is reused. */
export function forEachIndex(shape: Shape, visit: (index: readonly number[], linear: number) => void): void {
  const size = sizeOf(shape);
  const index = new Array<number>(shape.length).fill(0);
  for (let linear = 0; linear < size; linear++) {
    visit(index, linear);
    for (let d = shape.length - 1; d >= 0; d--) {
      index[d]!++;
      if (index[d]! < shape[d]!) break;
      index[d] = 0;
    }
  }
}

export function dot(a: readonly number[], b: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
