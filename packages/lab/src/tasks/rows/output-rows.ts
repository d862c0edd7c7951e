/** Outputs of a fixed number of values for each example, put in the order of the examples. */
import type { Answer, Collector } from "../../records/row-task.ts";

/** @param answer of an example, from the values of its row */
export function collectRows<A extends Answer>(
  name: string,
  count: number,
  width: number,
  answer: (values: Float64Array, example: number) => A,
): Collector<A> {
  const all = new Float64Array(count * width);
  return {
    take({ members }, outputs) {
      members.forEach((member, row) =>
        all.set(outputs[name]!.subarray(row * width, (row + 1) * width), member * width),
      );
    },
    finish: () => Array.from({ length: count }, (_, i) => answer(all.subarray(i * width, (i + 1) * width), i)),
  };
}

/** 9 significant digits identify every f32. */
export function written(value: number): number {
  return Number(value.toPrecision(9));
}
