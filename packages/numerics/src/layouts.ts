/** Tensors that are views of others: the same elements, elsewhere in memory. What lies between them is NaN, so that reading it shows. */
import { isFloat, ops, sizeOf, stridesOf, type Device, type DType, type Tensor } from "@lowrank/tensor";
import type { TensorSpec } from "@lowrank/tensor/records";

export const LAYOUTS = ["plain", "transposed", "strided", "backwards", "inside", "repeated"] as const;
export type Layout = (typeof LAYOUTS)[number];

/** A spec with the way in which its tensor comes to be. */
export interface LaidOutSpec extends TensorSpec {
  readonly layout?: Layout;
  /** The dimension that the layout is about. */
  readonly along?: number;
}

/** `repeated` needs elements that are the same along the dimension: those of its first place. */
export function repeatAlong(spec: TensorSpec, d: number): void {
  const step = stridesOf(spec.shape)[d]!;
  const size = spec.shape[d]!;
  spec.data.forEach((_, i) => {
    spec.data[i] = spec.data[i - (Math.floor(i / step) % size) * step]!;
  });
}

/** `data` of `shape`, with each index of the result read at the place that `at` tells; `filler` where it tells none. */
function rearranged(
  spec: TensorSpec,
  shape: readonly number[],
  at: (index: readonly number[]) => readonly number[] | undefined,
): Float64Array {
  const strides = stridesOf(spec.shape);
  const steps = stridesOf(shape);
  const filler = isFloat(spec.dtype) ? NaN : 1;
  return Float64Array.from({ length: sizeOf(shape) }, (_, i) => {
    const from = at(shape.map((size, d) => Math.floor(i / steps[d]!) % size));
    return from === undefined ? filler : spec.data[from.reduce((sum, x, d) => sum + x * strides[d]!, 0)]!;
  });
}

const replaced = (list: readonly number[], d: number, value: number): number[] =>
  list.map((x, i) => (i === d ? value : x));

export function makeTensor(spec: LaidOutSpec, device: Device, dtype: DType): Tensor {
  const { shape, layout = "plain", along: d = 0 } = spec;
  const n = shape[d] ?? 1;
  const base = (from: readonly number[], at: (index: readonly number[]) => readonly number[] | undefined): Tensor =>
    device.tensor(rearranged(spec, from, at), from, dtype);
  if (shape.length === 0 || spec.data.length === 0 || layout === "plain") return device.tensor(spec.data, shape, dtype);
  switch (layout) {
    case "transposed": {
      const last = shape.length - 1;
      const swap = (list: readonly number[]): number[] => replaced(replaced(list, d, list[last]!), last, list[d]!);
      return ops.transpose(base(swap(shape), swap), d, last);
    }
    case "strided":
      return ops.slice(
        base(replaced(shape, d, 2 * n), (index) =>
          index[d]! % 2 === 0 ? replaced(index, d, index[d]! / 2) : undefined,
        ),
        d,
        0,
        2 * n - 1,
        2,
      );
    case "backwards":
      return ops.slice(
        base(shape, (index) => replaced(index, d, n - 1 - index[d]!)),
        d,
        n - 1,
        -1,
        -1,
      );
    case "inside":
      return ops.slice(
        base(replaced(shape, d, n + 2), (index) =>
          index[d] === 0 || index[d] === n + 1 ? undefined : replaced(index, d, index[d]! - 1),
        ),
        d,
        1,
        n + 1,
      );
    case "repeated":
      return ops.expand(
        base(replaced(shape, d, 1), (index) => index),
        shape,
      );
  }
}
