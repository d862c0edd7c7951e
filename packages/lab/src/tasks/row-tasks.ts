/** The tasks on rows there are: a file beside this one and a line here. Studies have them as tasks on files, `fit` and `predict` as they are. */
import { Registry } from "../records/registry.ts";
import type { RowTask } from "../records/row-task.ts";
import { causalLm } from "./causal-lm.ts";
import { maskedLm } from "./masked-lm.ts";
import { multiLabel } from "./multi-label.ts";
import { questionAnswering } from "./question-answering.ts";
import { regression } from "./regression.ts";
import { textClassification } from "./text-classification.ts";
import { tokenClassification } from "./token-classification.ts";

export const rowTasks: Registry<RowTask> = new Registry<RowTask>("task on rows", [
  // a label a text, any number of labels, a number
  textClassification,
  multiLabel,
  regression,
  // a tag a word, a place in a text
  tokenClassification,
  questionAnswering,
  // how a text goes on, what is hidden in it
  causalLm,
  maskedLm,
]);
