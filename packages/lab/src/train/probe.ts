/** What a base computes on a few rows, before anything is trained: quantization must change it a little and not much. */
import type { HostTensor } from "@lowrank/tensor";
import type { PreparedTask } from "../tasks/task.ts";
import { batchInputs, evaluationBatches } from "./batches.ts";
import type { Classifier } from "./classifier.ts";

/** Rows that storage is compared on. */
const PROBE_ROWS = 16;

/** Logits of the first rows of the development set. */
export async function probe(classifier: Classifier, task: PreparedTask): Promise<Float64Array> {
  const [batch] = evaluationBatches(task.dev, { rows: PROBE_ROWS, multiple: task.multiple, padId: task.padId });
  const { inputIds, attentionMask } = batchInputs(batch!) as Record<string, HostTensor>;
  const { device } = classifier;
  classifier.model.eval();
  return classifier
    .logits(
      device.tensor(inputIds!.data, inputIds!.shape, inputIds!.dtype),
      device.tensor(attentionMask!.data, attentionMask!.shape, attentionMask!.dtype),
    )
    .floats();
}

/** The same of the base at full width, which is closed again. */
export async function probeFullBase(
  task: PreparedTask,
  initSeed: number,
  keep: (full: Classifier) => Promise<void>,
): Promise<Float64Array> {
  const full = await task.base(initSeed);
  try {
    await keep(full);
    return await probe(full, task);
  } finally {
    full.dispose();
  }
}
