/** Integer values that are sums of multiples of the coordinates, read back from their instructions. */
import type { Instr, ValueId } from "./kernel.ts";

export interface Affine {
  readonly offset: number;
  /** Multiple of each coordinate; dimensions left out have none. */
  readonly strides: ReadonlyMap<number, number>;
}

/** `v` as offset + Σ strides[d]·coord[d]; undefined for anything else. Wrapping at 2³² keeps every remainder by a power of two. */
export function affine(body: readonly Instr[], v: ValueId): Affine | undefined {
  const instr = body[v]!;
  switch (instr.op) {
    case "const":
      return { offset: instr.value, strides: new Map() };
    case "coord":
      return { offset: 0, strides: new Map([[instr.dim, 1]]) };
    case "cast":
      return ["i32", "u32"].includes(body[instr.a]!.type) ? affine(body, instr.a) : undefined;
    case "add":
    case "mul":
      break;
    default:
      return undefined;
  }
  const [a, b] = [affine(body, instr.a), affine(body, instr.b)];
  if (a === undefined || b === undefined) return undefined;
  if (instr.op === "add") {
    const strides = new Map(a.strides);
    for (const [d, s] of b.strides) strides.set(d, (strides.get(d) ?? 0) + s);
    return { offset: a.offset + b.offset, strides };
  }
  const [factor, line] = a.strides.size === 0 ? [a.offset, b] : [b.offset, a];
  if (a.strides.size > 0 && b.strides.size > 0) return undefined;
  return { offset: line.offset * factor, strides: new Map([...line.strides].map(([d, s]) => [d, s * factor])) };
}
