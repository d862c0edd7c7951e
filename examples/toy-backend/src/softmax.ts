/** Softmax in a kernel of the toy's own. What a tuned device would do needs no more than another `code`; several dispatches, more phases. */
import type { CompositeCall, Phases, Template, TypedArray } from "@lowrank/tensor/backend";

/** What the toy's own kernels are: functions on the memory of their arguments. */
export type ToyCode = (buffers: readonly TypedArray[]) => void;

export const softmax: Template = {
  name: "toy",
  match: (subject) => (subject.kind === "composite" && subject.name === "softmax" ? take(subject) : undefined),
};

/** Undefined for what is left to the kernels it is made of. */
function take({ inputs: [x, mask], attrs }: CompositeCall): Phases | undefined {
  const { shape, dtype } = x!;
  if (dtype !== "f32") return undefined;
  const dim = attrs["dim"] as number;
  const [length, step] = [shape[dim]!, sizeOf(shape.slice(dim + 1))];
  const size = sizeOf(shape);
  const maskAt = mask && broadcast(mask.shape, shape);
  const code: ToyCode = (buffers) => {
    const [values, y] = [buffers[0]!, buffers.at(-1)!];
    for (let row = 0; row < size / length; row++) {
      const first = Math.floor(row / step) * length * step + (row % step);
      const places = Array.from({ length }, (_, i) => first + i * step);
      const seen = places.map((at) => (maskAt === undefined || buffers[1]![maskAt(at)] ? values[at]! : -Infinity));
      const top = Math.max(...seen, -Number.MAX_VALUE);
      const powers = seen.map((v) => Math.exp(v - top));
      const total = powers.reduce((a, b) => a + b, 0);
      // a row of −∞ is zero
      powers.forEach((e, i) => (y[places[i]!] = total === 0 ? 0 : e / total));
    }
  };
  const reads = (mask ? [x!, mask] : [x!]).map(
    (t) => ({ dtype: t.dtype, access: "read", size: sizeOf(t.shape) }) as const,
  );
  const args = [...reads, { dtype: "f32", access: "write", size }] as const;
  const key = `softmax ${dim} of ${shape.join()} under ${mask?.shape.join()}`;
  return { phases: [{ kernel: { kind: "native", label: "softmax", key, args, code }, args: [...args.keys()] }] };
}

/** Where in a tensor of `from` the element is that broadcasts to place `at` of `to`. */
function broadcast(from: readonly number[], to: readonly number[]): (at: number) => number {
  const shape = [...to.slice(from.length).map(() => 1), ...from];
  return (at) => {
    let [place, inner] = [0, 1];
    shape.forEach((_, i) => {
      const d = shape.length - 1 - i;
      if (shape[d] !== 1) place += (Math.floor(at / sizeOf(to.slice(d + 1))) % to[d]!) * inner;
      inner *= shape[d]!;
    });
    return place;
  };
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}
