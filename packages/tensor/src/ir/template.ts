/**
 * Templates: a backend's own way to compute something, in place of the kernels that everything is made of otherwise. A template is shown
 * what could be computed (a composite that an op left in the graph, or a kernel that the scheduler made) and may answer with phases.
 *
 * A product whose sum is cut in four, each quarter by other threads, as a card wants it where the result is small and k is long:
 *
 *     export const splitProduct: Template = {
 *       name: "split product",
 *       match(subject, target) {
 *         if (subject.kind !== "gemm" || subject.m * subject.n > 4096 || subject.products[0]!.k < 4096) return undefined;
 *         const out = subject.args.length; // arguments come first, scratch after them
 *         return {
 *           scratch: [4 * 4 * subject.m * subject.n],
 *           phases: [
 *             { kernel: partialSums(subject, 4), args: [...subject.args.keys(), out] },
 *             { kernel: addQuarters(subject), args: [...subject.args.keys(), out] },
 *           ],
 *         };
 *       },
 *     };
 *
 * Phases are kernels of the IR or the backend's own (`NativeKernel`). They become steps of the plan: each sees what those before it wrote,
 * memory between them is planned like any other, and profiles and errors name them.
 */
import type { DType } from "../dtype.ts";
import type { Kernel } from "./kernel.ts";
import type { Target } from "./target.ts";

export interface TensorForm {
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** A composite as a template sees it. No tensor of it is empty. */
export interface CompositeCall {
  readonly kind: "composite";
  readonly name: string;
  readonly attrs: Readonly<Record<string, unknown>>;
  /** Dense and row-major in memory, each in a buffer of its own. */
  readonly inputs: readonly TensorForm[];
  /** To be written dense and row-major, all of them, wanted or not. */
  readonly outputs: readonly TensorForm[];
  /**
   * Whether values inside are wanted elsewhere (the backward pass reads attention's weights). What is wanted is then computed by the body
   * besides, so that taking the composite may save nothing.
   */
  readonly escapes: boolean;
}

/** An operand from one of its elements on: what lets one kernel work through a tensor piece by piece. */
export interface OperandPart {
  readonly operand: number;
  /** The argument's first element. Its byte is a multiple of the target's `partAlignment`. */
  readonly from: number;
}

/** One dispatch. */
export interface Phase {
  readonly kernel: Kernel;
  /**
   * What each argument of the kernel is, an index into operands: the composite's inputs, outputs and the scratch, in this order; or the
   * arguments of the kernel that was taken and the scratch. None twice, whatever its part.
   */
  readonly args: readonly (number | OperandPart)[];
}

/** An argument as a part: an operand's number means all of it. */
export function partOf(arg: number | OperandPart): OperandPart {
  return typeof arg === "number" ? { operand: arg, from: 0 } : arg;
}

export interface Phases {
  readonly phases: readonly Phase[];
  /** Bytes of each buffer that phases hand results to each other in. What they hold before and after is nobody's business. */
  readonly scratch?: readonly number[];
}

export interface Template {
  /** For messages. */
  readonly name: string;
  /** Features that the target must have; where one is missing the template is not asked. */
  readonly requires?: readonly string[];
  /**
   * How to compute `subject`, or undefined. It is asked once for each place in a plan, and must answer equal questions equally.
   * What it computes is held to the definition by the tolerances of the parity suite.
   *
   * An answer that cannot be right is a ConfigError while the plan is made, before anything runs: arguments of another dtype than their
   * operand or larger than it, an input that is written, an output or scratch that is read though no phase before has written it, an output
   * that no phase writes. What a kernel does inside is not seen: outputs of which some elements are left out, scratch of which some are read
   * before they are written.
   */
  match(subject: CompositeCall | Kernel, target: Target): Phases | undefined;
}
