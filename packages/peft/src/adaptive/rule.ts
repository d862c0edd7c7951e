/**
 * What one allocator is: a way of scoring triplets. Budgets, selection, masking, checks and finalization are the same for all and live
 * in `allocator.ts`, so that a new allocator is one file with one class.
 */
import type { Weight } from "@lowrank/nn";
import { ops, type Parameter, type Tensor } from "@lowrank/tensor";
import type { Triplets } from "./method.ts";

/** What a rule sees of a step. */
export interface ScoreContext {
  /** Gradient of a weight in this step. Throws where there is none. */
  gradient(weight: Weight): Tensor;
  /** Gives `parameter` the value `next` in steps that are to be learnt from; in others it stays. Returns what it is then. */
  learn(parameter: Parameter, next: Tensor): Tensor;
}

export interface ScoreRule {
  /** Name for records. */
  readonly kind: string;
  /** The paper. */
  readonly reference: string;
  /** Whether scores come from gradients: then a module that none reaches is an error. */
  readonly usesGradients: boolean;
  /** Scores of all triplets after this step, [n], modules one after another. Part of the compiled step. */
  scores(context: ScoreContext): Tensor;
  /** Added to the training loss. */
  regularizer?(): Tensor | undefined;
  /** What training changes, by name. */
  state(): Map<string, Parameter>;
}

/** Vectors one after another. Pairs of halves keep each kernel's expression short where there are many. */
export function joined(parts: readonly Tensor[]): Tensor {
  if (parts.length <= 2) return parts.length === 1 ? parts[0]! : ops.concat(parts, 0);
  const half = parts.length >> 1;
  return ops.concat([joined(parts.slice(0, half)), joined(parts.slice(half))], 0);
}

/** E of all modules as one vector [n]. */
export function joinedE(layers: readonly Triplets[], of: (weight: Weight) => Tensor): Tensor {
  return joined(layers.map(({ e }) => ops.reshape(of(e), [-1])));
}

/** A zero parameter of the weight's shape and dtype. */
export function zerosLike(weight: Weight, shape: readonly number[] = weight.shape): Parameter {
  const { device, dtype } = weight.parameter;
  return device.parameter(new Float64Array(shape.reduce((a, b) => a * b, 1)), shape, dtype);
}
