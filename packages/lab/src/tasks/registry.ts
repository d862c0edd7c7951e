/** The tasks there are: a file beside this one and a line here; programs and plugins add theirs with `tasks.register`. */
import { Registry } from "../records/registry.ts";
import type { Task } from "../records/task.ts";
import { causalLm } from "./causal-lm.ts";
import { maskedLm } from "./masked-lm.ts";
import { multiLabel } from "./multi-label.ts";
import { plantedRanks } from "./planted-rank.ts";
import { questionAnswering } from "./question-answering.ts";
import { regression } from "./regression.ts";
import { fileTask } from "./rows/from-files.ts";
import { sst2 } from "./sst2.ts";
import { textClassification } from "./text-classification.ts";
import { tokenClassification } from "./token-classification.ts";

export const tasks: Registry<Task> = new Registry<Task>("task", [
  // a label a text
  sst2,
  fileTask(textClassification),
  plantedRanks,
  // any number of labels, a number
  fileTask(multiLabel),
  fileTask(regression),
  // a tag a word, a place in a text
  fileTask(tokenClassification),
  fileTask(questionAnswering),
  // words
  fileTask(causalLm),
  maskedLm,
]);
