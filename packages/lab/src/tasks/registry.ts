/** The tasks there are: a file beside this one and a line here; programs and plugins add theirs with `tasks.register`. */
import { Registry } from "../records/registry.ts";
import type { Task } from "../records/task.ts";
import { maskedCorpora } from "./masked-corpora.ts";
import { plantedRanks } from "./planted-rank.ts";
import { rowTasks } from "./row-tasks.ts";
import { fileTask } from "./rows/from-files.ts";
import { sst2 } from "./sst2.ts";
import { wikiSplit } from "./wiki-split.ts";
import { wikitext2 } from "./wikitext2.ts";

export const tasks: Registry<Task> = new Registry<Task>("task", [
  // a label a text
  sst2,
  plantedRanks,
  // how a running text goes on, what a model writes
  wikitext2,
  wikiSplit,
  // what rows of files mean
  ...rowTasks.all.map(fileTask),
  // what pre-training reads
  maskedCorpora,
]);
