/** What the rows of a table mean, where its columns leave no doubt: texts with one of a few labels each. Everything else has to be said. */
import { quote } from "@lowrank/tensor";
import { columnsOf, type ColumnWords } from "../data/table/columns.ts";
import type { Row, Table } from "../data/table/table.ts";
import { InputError } from "../errors.ts";
import type { Task } from "../records/task.ts";
import { tasks } from "./registry.ts";
import { textClassification } from "./text-classification.ts";

/** More different values than that are no labels by themselves. */
const MOST_LABELS = 50;

/** Whether a task is on rows of a file that is named by `train`. */
export function onFiles({ readsFiles, schema }: Task): boolean {
  return readsFiles && "train" in schema.shape;
}

/** @param words columns as they were said @throws InputError saying what is in doubt */
export function guessTask(table: Table, words: ColumnWords, say: (line: string) => void): string {
  const doubt = (why: string): InputError =>
    new InputError(
      `${table.name}: ${why}; say what a row means with --task: ${tasks.all
        .filter(onFiles)
        .map(({ name }) => name)
        .join(", ")}`,
    );
  let label: string | undefined;
  try {
    ({ label } = columnsOf(table, { roles: textClassification.columns, words, labelled: true }));
  } catch (error) {
    throw doubt(
      `its columns ${table.columns.map((name) => quote(name)).join(", ")} are not those of texts with a label (${(error as Error).message})`,
    );
  }
  const values = table.rows.map((row) => (row as Row)[label!]);
  if (values.some((value) => typeof value === "object" && value !== null)) throw doubt(`${quote(label!)} has lists`);
  const different = new Set(values.map(String)).size;
  if (different > MOST_LABELS || 2 * different > values.length)
    throw doubt(
      `${quote(label!)} has ${different} different values in ${values.length} rows, which may be labels or numbers`,
    );
  say(
    `task: ${textClassification.name}, since ${quote(label!)} has ${different} different values (--task says another)`,
  );
  return textClassification.name;
}
