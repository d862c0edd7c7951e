/**
 * Functions of one number: a row each, kernel instruction → cost and definition in f64. `UnaryOp`, the primitives and the
 * interpreter's meaning of an instruction are read off this table.
 */
import { erf, normalCdf } from "../math/erf.ts";

export interface ScalarFunction {
  /** Relative cost, as `Primitive.cost` has it. */
  readonly cost: number;
  readonly f: (x: number) => number;
}

export const scalarFunctions = {
  neg: { cost: 1, f: (x: number): number => -x },
  abs: { cost: 1, f: (x: number): number => Math.abs(x) },
  exp: { cost: 8, f: (x: number): number => Math.exp(x) },
  log: { cost: 10, f: (x: number): number => Math.log(x) },
  log1p: { cost: 12, f: (x: number): number => Math.log1p(x) },
  sqrt: { cost: 4, f: (x: number): number => Math.sqrt(x) },
  rsqrt: { cost: 6, f: (x: number): number => 1 / Math.sqrt(x) },
  recip: { cost: 3, f: (x: number): number => 1 / x },
  tanh: { cost: 12, f: (x: number): number => Math.tanh(x) },
  erf: { cost: 14, f: (x: number): number => erf(x) },
  normalCdf: { cost: 14, f: (x: number): number => normalCdf(x) },
  sin: { cost: 14, f: (x: number): number => Math.sin(x) },
  cos: { cost: 14, f: (x: number): number => Math.cos(x) },
  floor: { cost: 1, f: (x: number): number => Math.floor(x) },
  /** bool → bool. */
  not: { cost: 1, f: (x: number): number => (x === 0 ? 1 : 0) },
  /** f32 → bool, by bit pattern. */
  isfinite: { cost: 1, f: (x: number): number => (Number.isFinite(x) ? 1 : 0) },
  isnan: { cost: 1, f: (x: number): number => (Number.isNaN(x) ? 1 : 0) },
};

export type UnaryOp = keyof typeof scalarFunctions;
