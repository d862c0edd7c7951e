/** What a trainer and an evaluation ask of a task on rows. */
import type { RowTask } from "../../records/row-task.ts";
import type { Task } from "../../records/task.ts";

export function rowLosses(task: Pick<RowTask, "forward" | "loss">): Pick<Task, "loss" | "outputs"> {
  return {
    loss: (base, inputs, reduction) => task.loss(task.forward(base, inputs), inputs, reduction),
    outputs(base, inputs) {
      const outputs = task.forward(base, inputs);
      return { ...outputs, loss: task.loss(outputs, inputs, "sum") };
    },
  };
}
