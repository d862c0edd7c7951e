/** Tensors that differ in their layer's number only, as one row. */
import type { TensorFacts } from "./facts.ts";

export interface TensorGroup {
  /** The name, with `{0..21}` where the numbers stand. */
  readonly pattern: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly count: number;
  /** Of all of them. */
  readonly bytes: number;
}

/** Rows in the order in which their first tensors stand. */
export function groupTensors(tensors: readonly TensorFacts[]): TensorGroup[] {
  const groups = new Map<string, TensorFacts[]>();
  for (const tensor of tensors) {
    const key = JSON.stringify([
      tensor.name.split(".").map((part) => (isNumber(part) ? 0 : part)),
      tensor.dtype,
      tensor.shape,
    ]);
    const known = groups.get(key);
    if (known === undefined) groups.set(key, [tensor]);
    else known.push(tensor);
  }
  return [...groups.values()].map((members) => ({
    pattern: patternOf(members.map(({ name }) => name.split("."))),
    dtype: members[0]!.dtype,
    shape: members[0]!.shape,
    count: members.length,
    bytes: members.reduce((sum, { bytes }) => sum + bytes, 0),
  }));
}

const isNumber = (part: string): boolean => /^\d+$/.test(part);

function patternOf(names: readonly (readonly string[])[]): string {
  return names[0]!
    .map((part, i) => {
      if (!isNumber(part)) return part;
      const numbers = [...new Set(names.map((name) => Number(name[i])))].sort((a, b) => a - b);
      return numbers.length === 1 ? part : `{${ranges(numbers)}}`;
    })
    .join(".");
}

/** 0, 1, 2, 5 → "0..2,5". */
function ranges(numbers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const n of numbers) {
    const last = runs.at(-1);
    if (last !== undefined && last[1] + 1 === n) last[1] = n;
    else runs.push([n, n]);
  }
  return runs
    .map(([from, to]) => (from === to ? `${from}` : to === from + 1 ? `${from},${to}` : `${from}..${to}`))
    .join(",");
}
