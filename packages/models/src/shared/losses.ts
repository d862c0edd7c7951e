/** transformers' default losses. */
import { isFloat, LowrankError, ops, ShapeError, type Tensor } from "@lowrank/tensor";
import type { LabelFields, ProblemType } from "./labels.ts";
import type { AnswerOutputs } from "./outputs.ts";

/** The problem a classifier solves: what its config says, else one label is a regression, whole numbers are classes, and floats are labels each by itself. */
function problemOf({ numLabels, problemType }: LabelFields, labels: Tensor): ProblemType {
  if (problemType !== undefined) return problemType;
  if (numLabels === 1) return "regression";
  return isFloat(labels.dtype) ? "multi_label_classification" : "single_label_classification";
}

/**
 * Loss of logits [batch, labels] by the config's problem: cross-entropy with whole labels [batch]; mean squared error with labels
 * [batch, labels], of one label [batch] too; binary cross-entropy, averaged over texts and labels, with float labels [batch, labels].
 */
export function classificationLoss(
  logits: Tensor,
  labels: Tensor | undefined,
  fields: LabelFields,
): Tensor | undefined {
  if (labels === undefined) return undefined;
  const problem = problemOf(fields, labels);
  const [batch, count] = logits.shape as [number, number];
  const expect = (...shapes: readonly (readonly number[])[]): void => {
    if (!shapes.some((s) => s.join() === labels.shape.join()))
      throw new ShapeError(
        `labels of a ${problem} with ${count} label${count === 1 ? "" : "s"} must be ${shapes.map((s) => `[${s.join(", ")}]`).join(" or ")}, got [${labels.shape.join(", ")}]`,
      );
  };
  switch (problem) {
    case "regression": {
      expect([batch, count], ...(count === 1 ? [[batch]] : []));
      return ops.mse(
        ops.reshape(logits, [batch * count]),
        ops.cast(ops.reshape(labels, [batch * count]), logits.dtype),
      );
    }
    case "single_label_classification":
      expect([batch], [batch, 1]);
      if (isFloat(labels.dtype))
        throw new LowrankError(
          "DTypeError",
          `labels of a single_label_classification are whole numbers, got ${labels.dtype}; problem_type "multi_label_classification" or "regression" takes floats`,
        );
      return ops.crossEntropy(logits, labels.rank === 1 ? labels : ops.reshape(labels, [batch]));
    case "multi_label_classification":
      expect([batch, count]);
      if (!isFloat(labels.dtype))
        throw new LowrankError(
          "DTypeError",
          `labels of a multi_label_classification are floats from 0 to 1, got ${labels.dtype}`,
        );
      return ops.binaryCrossEntropy(logits, labels);
  }
}

/** @throws ShapeError unless there is one value for each position */
export function requireShape(what: string, x: Tensor, shape: readonly number[]): void {
  if (x.shape.join() !== shape.join())
    throw new ShapeError(`${what} must be [${shape.join(", ")}], one for each position, got [${x.shape.join(", ")}]`);
}

/** Mean cross-entropy over all positions of logits […, classes] with labels […]; −100 counts for nothing. */
export function flatCrossEntropy(logits: Tensor, labels: Tensor | undefined): Tensor | undefined {
  if (labels === undefined) return undefined;
  requireShape("labels", labels, logits.shape.slice(0, -1));
  return ops.crossEntropy(ops.reshape(logits, [-1, logits.shape[logits.rank - 1]!]), ops.reshape(labels, [-1]));
}

export interface AnswerPositions {
  readonly startPositions?: Tensor;
  readonly endPositions?: Tensor;
}

/**
 * Mean of the cross-entropies of start and end, logits [batch, length] with positions [batch]. Positions at or beyond the length count
 * for nothing, and neither does −100; other negative ones are an error.
 * @param op whose positions they are, for the error
 */
export function answerLoss(
  { startLogits, endLogits }: Omit<AnswerOutputs, "loss">,
  { startPositions, endPositions }: AnswerPositions,
  op: string,
): Tensor | undefined {
  if (startPositions === undefined && endPositions === undefined) return undefined;
  if (startPositions === undefined || endPositions === undefined)
    throw new LowrankError(
      "ValueError",
      `${op}: an answer has a start and an end; give startPositions and endPositions, or neither`,
    );
  const length = startLogits.shape[1]!;
  const part = (logits: Tensor, positions: Tensor, name: string): Tensor => {
    const at = ops.cast(ops.checkIndices(positions, { size: Infinity, ignore: -100, op, name }), "i32");
    return ops.crossEntropy(logits, ops.where(ops.ge(at, length), -100, at));
  };
  return ops.mul(
    ops.add(part(startLogits, startPositions, "start position"), part(endLogits, endPositions, "end position")),
    0.5,
  );
}

/** Labels [batch, length] moved one to the left, so that position i is asked for token i + 1; the last position is asked for nothing. */
export function nextTokens(labels: Tensor): Tensor {
  return ops.pad(
    ops.slice(signed(labels), 1, 1, labels.shape[1]!),
    [
      [0, 0],
      [0, 1],
    ],
    -100,
  );
}

/** Whole numbers in a type that holds −100. */
export function signed(ids: Tensor): Tensor {
  return ids.dtype === "u8" || ids.dtype === "u32" ? ops.cast(ids, "i32") : ids;
}

/** Mean cross-entropy of logits [batch, length, vocab] with the token that follows; labels [batch, length] are not shifted by the caller. */
export function nextTokenLoss(logits: Tensor, labels: Tensor | undefined): Tensor | undefined {
  if (labels === undefined) return undefined;
  // before the shift, which would take another shape's rows apart
  requireShape("labels", labels, logits.shape.slice(0, -1));
  return flatCrossEntropy(logits, nextTokens(labels));
}
