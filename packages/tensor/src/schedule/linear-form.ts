/**
 * Linear forms over a kernel's iteration dimensions: offset + Σ strides[d]·coord[d] (+ dynamic values). Views become arithmetic
 * on these; what stays linear costs nothing at run time.
 *
 *   x [4, 6], read at kernel coordinates (i, j)      element of x
 *   xᵀ over [6, 4]                                   6·j + i
 *   x[1:3] over [2, 6]                               6·i + j + 6
 *   reshape x [24] over [24]                         i
 *   reshape x [2, 12], over x's own (i: 4, j: 6)     6·i + j is no linear place in [2, 12] until i is cut into (a: 2, b: 2):
 *                                                    then it is (a, 6·b + j)
 */
import type { DynamicTerm } from "../ir/kernel.ts";
import { stridesOf } from "../shape.ts";

export interface LinearForm {
  readonly offset: number;
  /** One per kernel dimension; missing entries are 0 (dimensions are appended while lowering). */
  readonly strides: readonly number[];
  readonly dynamic?: readonly DynamicTerm[];
}

export const ZERO: LinearForm = { offset: 0, strides: [] };

export function stride(form: LinearForm, dim: number): number {
  return form.strides[dim] ?? 0;
}

export function addForms(a: LinearForm, b: LinearForm): LinearForm {
  const strides = Array.from(
    { length: Math.max(a.strides.length, b.strides.length) },
    (_, d) => stride(a, d) + stride(b, d),
  );
  const dynamic = [...(a.dynamic ?? []), ...(b.dynamic ?? [])];
  return { offset: a.offset + b.offset, strides, ...(dynamic.length > 0 ? { dynamic } : {}) };
}

export function scaleForm(a: LinearForm, by: number, plus = 0): LinearForm {
  return {
    offset: a.offset * by + plus,
    strides: a.strides.map((s) => s * by),
    ...(a.dynamic === undefined ? {} : { dynamic: a.dynamic.map((t) => ({ value: t.value, stride: t.stride * by })) }),
  };
}

export function unitForm(dim: number): LinearForm {
  const strides = new Array<number>(dim + 1).fill(0);
  strides[dim] = 1;
  return { offset: 0, strides };
}

/** The coordinate that consecutive dimensions `first…` of these sizes spell together. */
export function factorForm(first: number, factors: readonly number[]): LinearForm {
  const steps = stridesOf(factors);
  return factors.reduce<LinearForm>((sum, _, k) => addForms(sum, scaleForm(unitForm(first + k), steps[k]!)), ZERO);
}

/** Whether two forms without dynamic values are equal wherever a dimension of these sizes moves. */
export function sameForm(a: LinearForm, b: LinearForm, sizes: readonly number[]): boolean {
  return (
    a.offset === b.offset &&
    a.dynamic === undefined &&
    b.dynamic === undefined &&
    sizes.every((s, d) => s === 1 || stride(a, d) === stride(b, d))
  );
}

/** The row-major position that coordinates stand for in a tensor of `shape`. */
export function linearize(coords: readonly LinearForm[], shape: readonly number[]): LinearForm {
  let out = ZERO;
  let step = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    if (shape[d] !== 1) out = addForms(out, scaleForm(coords[d]!, step));
    step *= shape[d]!;
  }
  return out;
}

/** Smallest and largest value over the iteration space; undefined when a dynamic value takes part. */
export function rangeOf(form: LinearForm, sizes: readonly number[]): [number, number] | undefined {
  if (form.dynamic !== undefined) return undefined;
  let [low, high] = [form.offset, form.offset];
  form.strides.forEach((s, d) => {
    const span = s * ((sizes[d] ?? 1) - 1);
    if (span > 0) high += span;
    else low += span;
  });
  return [low, high];
}

/** Cut kernel dimension `dim` so that its inner part has `factor` elements, then try again. */
export interface SplitRequest {
  readonly dim: number;
  readonly factor: number;
}

/**
 * Inverse of `linearize`: coordinates in `shape` of a row-major position, or a request to split a dimension that would make it
 * possible, or undefined when no split helps.
 */
export function delinearize(
  position: LinearForm,
  shape: readonly number[],
  sizes: readonly number[],
): LinearForm[] | SplitRequest | undefined {
  const coords = new Array<LinearForm>(shape.length).fill(ZERO);
  const real = shape.flatMap((s, d) => (s === 1 ? [] : [d]));
  let rest = position;
  for (let i = real.length - 1; i > 0; i--) {
    const size = shape[real[i]!]!;
    const cut = divide(rest, size, sizes);
    if (cut === undefined || "dim" in cut) return cut;
    coords[real[i]!] = cut.remainder;
    rest = cut.quotient;
  }
  if (real.length > 0) coords[real[0]!] = rest;
  return coords;
}

/** Quotient and remainder of a form by `by`, when both are linear again. */
function divide(
  form: LinearForm,
  by: number,
  sizes: readonly number[],
): { quotient: LinearForm; remainder: LinearForm } | SplitRequest | undefined {
  if (form.dynamic !== undefined) return undefined;
  // a tensor without elements has no position that would have to be right
  if (by === 0) return { quotient: ZERO, remainder: ZERO };
  const high: number[] = [];
  const low: number[] = [];
  let span = 0;
  const offset = ((form.offset % by) + by) % by;
  for (let d = 0; d < form.strides.length; d++) {
    const s = form.strides[d]!;
    high.push(0);
    low.push(0);
    if (s === 0 || (sizes[d] ?? 1) <= 1) continue;
    if (s % by === 0) {
      high[d] = s / by;
      continue;
    }
    if (s < 0) return undefined;
    const reach = s * sizes[d]!;
    if (reach > by && by % s === 0 && sizes[d]! % (by / s) === 0) return { dim: d, factor: by / s };
    low[d] = s;
    span += s * (sizes[d]! - 1);
  }
  if (offset + span >= by) return undefined;
  return { quotient: { offset: (form.offset - offset) / by, strides: high }, remainder: { offset, strides: low } };
}
