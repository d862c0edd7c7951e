/** Evaluation of a classifier: logits of every example, metrics on the host, and the task's loss from the device beside one recomputed in f64. */
import { createHash } from "node:crypto";
import { compile, ops, type CompiledInfo, type CompileInputs, type Device, type Tensor } from "@lowrank/tensor";
import { exampleCount, type ClassificationSet } from "../data/classification.ts";
import { breather } from "../text/breath.ts";
import type { Classifier } from "./classifier.ts";
import { type BatchOptions, batchInputs, evaluationBatches } from "./batches.ts";
import { specsOf } from "./step.ts";
import { argmaxRows, classificationMetrics, meanCrossEntropy } from "./metrics.ts";

export interface Scores {
  /** `[examples, labels]` in the order of the set. */
  readonly logits: Float64Array;
  readonly predicted: Int32Array;
  readonly loss: number;
  /** Cross-entropy of the same logits in f64: differs from `loss` if anything but the task's loss was reported. */
  readonly recomputedLoss: number;
  readonly accuracy: number;
  readonly f1: number;
  /** Classes that `f1` is the mean of. */
  readonly f1Classes: readonly number[];
}

export interface Evaluator {
  /** Scores of the classifier as it is now. */
  run(): Promise<Scores>;
  /** The plan for inputs of these shapes, known without running. */
  plan(inputs: CompileInputs): CompiledInfo;
  /** One plan per batch shape so far. */
  plans(): readonly CompiledInfo[];
}

/** Plans are captured once per batch shape. */
export function evaluator(
  classifier: Classifier,
  set: ClassificationSet,
  labels: number,
  options: BatchOptions,
  device: Device,
): Evaluator {
  const forward = compile(device, (inputs: Record<string, Tensor>) => {
    classifier.model.eval();
    const logits = classifier.logits(inputs["inputIds"]!, inputs["attentionMask"]!);
    return { logits, loss: ops.crossEntropy(logits, inputs["labels"]!, { reduction: "sum" }) };
  });
  const run = async (): Promise<Scores> => {
    const count = exampleCount(set);
    const logits = new Float64Array(count * labels);
    const breathe = breather();
    let total = 0;
    for (const batch of evaluationBatches(set, options)) {
      await breathe();
      const outputs = await forward(batchInputs(batch));
      const [values, sum] = [await outputs.logits.floats(), await outputs.loss.item()];
      total += sum;
      batch.members.forEach((member, row) =>
        logits.set(values.subarray(row * labels, (row + 1) * labels), member * labels),
      );
    }
    const predicted = argmaxRows(logits, labels);
    return {
      logits,
      predicted,
      loss: total / count,
      recomputedLoss: meanCrossEntropy(logits, set.labels, labels),
      ...classificationMetrics(predicted, set.labels, labels),
    };
  };
  return { run, plan: (inputs) => forward.plan(specsOf(inputs)), plans: () => forward.info() };
}

/** `predictions.jsonl` and its hashes; `index` is the row of the data file. Logits have 9 significant digits, which identifies every f32. */
export function predictionLines(
  scores: Scores,
  set: ClassificationSet,
  labels: number,
): { text: string; sha256: string; labelsSha256: string } {
  const lines = Array.from(scores.predicted, (prediction, index) => {
    const logits = Array.from(scores.logits.subarray(index * labels, (index + 1) * labels), (value) =>
      Number(value.toPrecision(9)),
    );
    return JSON.stringify({ index: set.rows?.[index] ?? index, label: set.labels[index], prediction, logits });
  });
  const text = `${lines.join("\n")}\n`;
  const sha = (content: string): string => createHash("sha256").update(content).digest("hex");
  return { text, sha256: sha(text), labelsSha256: sha(scores.predicted.join(",")) };
}
