/**
 * Address streams. An index that is affine in the loop coordinates is split over the loops: each loop adds its own term to what
 * the loop around it has summed up, so the innermost loop adds one product. Guards are streams without a base.
 */
import { bytesOf } from "../../../dtype.ts";
import type { Arg, DynamicTerm, Guard, Index } from "../../../ir/kernel.ts";

export interface Stream {
  /** Equal keys, equal addresses. */
  readonly key: string;
  /** Argument whose address is the base; -1 for a plain number (guards). */
  readonly arg: number;
  /** In bytes for arguments, else in elements. */
  readonly offset: number;
  readonly strides: readonly number[];
  readonly dynamic: readonly DynamicTerm[];
  /** The address may be meaningless where a guard fails. */
  readonly guarded: boolean;
}

export function indexStream(arg: number, index: Index, args: readonly Arg[]): Stream {
  return makeStream(arg, index, bytesOf(args[arg]!.dtype), (index.guards ?? []).length > 0);
}

export function guardStream(guard: Guard): Stream {
  return makeStream(-1, guard, 1, true);
}

function makeStream(arg: number, at: Index | Guard, scale: number, guarded: boolean): Stream {
  const offset = at.offset * scale;
  const strides = at.strides.map((s) => s * scale);
  const dynamic = (at.dynamic ?? [])
    .filter((t) => t.stride !== 0)
    .map((t) => ({ value: t.value, stride: t.stride * scale }));
  return { key: JSON.stringify([arg, offset, strides, dynamic, guarded]), arg, offset, strides, dynamic, guarded };
}
