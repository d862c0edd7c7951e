/** What a base computes on a few rows, before anything is trained: quantization must change it a little and not much. */
import type { Base } from "../bases/base.ts";
import type { Task, TaskData } from "../records/task.ts";
import { evaluationBatches } from "./batches.ts";

/** Rows that storage is compared on. */
const PROBE_ROWS = 16;

/** What an evaluation reads of the first rows of the development set, one after the other. */
export async function probe(base: Base, task: Pick<Task, "outputs">, data: TaskData): Promise<Float64Array> {
  const [batch] = evaluationBatches(data.dev, { rows: PROBE_ROWS, multiple: data.multiple });
  const { device } = base;
  const inputs = Object.fromEntries(
    Object.entries(batch!.inputs).map(([name, { data: values, shape, dtype }]) => [
      name,
      device.tensor(values, shape, dtype),
    ]),
  );
  base.model.eval();
  const { loss, ...outputs } = task.outputs(base, inputs);
  const read = Object.values(outputs);
  const values = await Promise.all((read.length === 0 ? [loss] : read).map((tensor) => tensor.floats()));
  return values.length === 1 ? values[0]! : Float64Array.from(values.flatMap((list) => [...list]));
}

/** The same of the base at full width, which is closed again. */
export async function probeFullBase(
  task: Pick<Task, "outputs">,
  data: TaskData,
  initSeed: number,
  keep: (full: Base) => Promise<void>,
): Promise<Float64Array> {
  const full = await data.base(initSeed);
  try {
    await keep(full);
    return await probe(full, task, data);
  } finally {
    full.dispose();
  }
}
