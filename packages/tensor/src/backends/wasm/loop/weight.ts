/** Rough costs of instructions, in nanoseconds per element of vector code. They steer choices (what to keep, where to cut), never results. */
import type { Arg, Instr } from "../../../ir/kernel.ts";

const functions: Readonly<Record<string, number>> = {
  exp: 0.8,
  log: 0.9,
  log1p: 1.2,
  tanh: 1.2,
  erf: 1.5,
  sin: 2.5,
  cos: 2.5,
  sqrt: 0.5,
  rsqrt: 0.8,
  recip: 0.4,
  div: 0.4,
  round: 0.8,
};

export function instrWeight(instr: Instr, args: readonly Arg[]): number {
  switch (instr.op) {
    case "const":
    case "coord":
    case "acc":
      return 0;
    case "inbounds":
      return 0.2;
    case "load": {
      const half = ["f16", "bf16"].includes(args[instr.arg]!.dtype) ? 0.3 : 0;
      return 0.15 + half + (instr.index.dynamic === undefined ? 0 : 1) + (instr.index.guards === undefined ? 0 : 0.5);
    }
    case "random":
      return instr.bits === 16 ? 1.1 : 2;
    case "div":
    case "mod":
      return instr.type === "f32" ? 0.4 : 4;
    default:
      return functions[instr.op] ?? 0.1;
  }
}
