/**
 * What tests know of an op: how exact it is, whether it has a gradient, how to draw arguments. Gradient checks and parity tests on every
 * device are derived from these records. They stand beside the ops but are reached by `@lowrank/tensor/records` alone, so that no bundle holds them.
 */
import type { DType } from "../dtype.ts";
import type { ErrorCode } from "../errors.ts";

/** Error classes; the numbers and their derivation are in @lowrank/numerics. */
export type ToleranceClass =
  /** No arithmetic: bits are moved. */
  | "exact"
  /** One correctly rounded operation. */
  | "arithmetic"
  /** A transcendental function with a documented ulp bound. */
  | "transcendental"
  /** A sum of n terms: error grows with n and with the sum of magnitudes. */
  | "reduction"
  /** A short composition of the above along a row. */
  | "row";

/** Draws arguments for tests. Tensors are described, not made, so that the same sample runs on every device. */
export interface SampleSource {
  integer(min: number, max: number): number;
  /** The size of a dimension: `min` (default 1) to `max`; 0 too in tests of tensors without elements. */
  size(max: number, min?: number): number;
  pick<T>(options: readonly T[]): T;
  boolean(): boolean;
  /** A shape of `minRank`–`maxRank` dimensions (default 0–3) of 1–6. */
  shape(options?: { minRank?: number; maxRank?: number; minDim?: number; maxDim?: number }): number[];
  /** A shape that broadcasts with `shape`. */
  broadcastable(shape: readonly number[]): number[];
  /** Values in [min, max], at least `gap` away from each of `avoid` (kinks, poles). `distinct` keeps any two values `gap` apart. */
  tensor(shape: readonly number[], options?: TensorSample): TensorSpec;
  ints(shape: readonly number[], min: number, max: number): TensorSpec;
  bools(shape: readonly number[]): TensorSpec;
}

export interface TensorSample {
  readonly min?: number;
  readonly max?: number;
  readonly avoid?: readonly number[];
  readonly gap?: number;
  readonly distinct?: boolean;
  /** Intervals in which an elementwise function is small, or close to a limit, and must be right relative to itself. */
  readonly tails?: readonly (readonly [number, number])[];
}

/** A tensor to be made on whichever device the test runs. Only float tensors are differentiated. */
export interface TensorSpec {
  readonly spec: true;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly data: Float64Array;
  /** Whether the values come from `TensorSample.tails`. */
  readonly tails?: boolean;
}

export interface OpRecord {
  readonly tolerance: ToleranceClass;
  /** False where a gradient does not exist or is not wanted (comparisons, random bits, rounding). */
  readonly differentiable: boolean;
  /** Whether the gradient of these arguments is meant to be the derivative. Default: it always is. */
  readonly isDerivative?: (args: readonly unknown[]) => boolean;
  /** Arguments for one test case; TensorSpec stands for a tensor, at any depth. */
  readonly sample: (g: SampleSource) => readonly unknown[];
  /** What the f32 tensors of a sample may be instead, all at once. Default `FLOATS`. */
  readonly dtypes?: readonly DType[];
  /** Of functions of one number. */
  readonly scalar?: ScalarPromise;
  /** Calls that the op refuses, one for each of its checks. */
  readonly refuses?: (g: SampleSource) => readonly Refusal[];
}

/** How the image of an interval follows from its ends; `inverse` has a pole at 0, |f′| of a `circular` function is at most 1. */
export type ScalarShape = "increasing" | "decreasing" | "circular" | "magnitude" | "inverse" | "finite" | "nan";

/** What is promised of a function of one number on every device. */
export interface ScalarPromise {
  /** The kernel instruction, where the op has another name. */
  readonly instruction?: string;
  readonly shape: ScalarShape;
  /**
   * Units of the last place that a result may be off: where arithmetic is IEEE 754's (measured over dense samples), and on WebGPU (WGSL's
   * accuracy table, or the same polynomials). Default none beyond rounding.
   */
  readonly units?: readonly [ieee: number, wgsl: number];
  /** What no rounding crosses. */
  readonly limits?: readonly [least: number, most: number];
}

/** What is wrong with a call, what the error is, the arguments as in `sample`. */
export type Refusal = readonly [why: string, code: ErrorCode, args: readonly unknown[]];

export const FLOATS: readonly DType[] = ["f32", "f16", "bf16"];
export const NUMBERS: readonly DType[] = [...FLOATS, "i32", "u32", "u8"];
export const ALL_DTYPES: readonly DType[] = [...NUMBERS, "bool"];

/** By name of the op. */
export type OpRecords = Readonly<Record<string, OpRecord>>;
