/**
 * What the rows of a table mean, where its columns leave no doubt: texts with one of a few labels each, prompts with completions, or chats.
 * Everything else has to be said.
 */
import { quote } from "@lowrank/tensor";
import { suggestion } from "@lowrank/tensor/check";
import { columnsOf, type ColumnRoles, type Columns, type ColumnWords } from "../data/table/columns.ts";
import type { Row, Table } from "../data/table/table.ts";
import { InputError } from "../errors.ts";
import type { Task } from "../records/task.ts";
import { causalLm } from "./causal-lm.ts";
import { questionAnswering } from "./question-answering.ts";
import { tasks } from "./registry.ts";
import { textClassification } from "./text-classification.ts";

/** More different values than that are no labels by themselves. */
const MOST_LABELS = 50;
/** Up to that many words are labels wherever one of them comes again. */
const FEW_WORDS = 10;
const NUMBER = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i;

/** Whether a task is on rows of a file that is named by `train`. */
export function onFiles({ readsFiles, schema }: Task): boolean {
  return readsFiles && "columns" in schema.shape;
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
  for (const said of Object.values(words))
    if (typeof said === "string" && !table.columns.includes(said))
      throw new InputError(`${table.name}: there is no column ${quote(said)}${suggestion(said, table.columns)}`);
  let label: string | undefined;
  try {
    ({ label } = columnsOf(table, { roles: textClassification.columns, words, labelled: true }));
  } catch (error) {
    const written = writtenIn(table, words);
    if (written !== undefined) {
      say(`task: ${causalLm.name}, since there are ${written} (--task says another)`);
      return causalLm.name;
    }
    throw doubt(
      `its columns ${table.columns.map((name) => quote(name)).join(", ")} are not those of texts with a label (${(error as Error).message})`,
    );
  }
  const values = table.rows.map((row) => (row as Row)[label!]);
  if (values.some((value) => typeof value === "object" && value !== null)) throw doubt(`${quote(label!)} has lists`);
  const different = new Set(values.map(String)).size;
  const numbers = values.every((value) => NUMBER.test(String(value)));
  const again = 2 * different <= values.length || (!numbers && different <= FEW_WORDS && different < values.length);
  if (different > MOST_LABELS || !again)
    throw doubt(
      `${quote(label!)} has ${different} different values in ${values.length} rows, which may be labels or ${numbers ? "numbers" : "texts"}`,
    );
  say(
    `task: ${textClassification.name}, since ${quote(label!)} has ${different} different values (--task says another)`,
  );
  return textClassification.name;
}

/** Columns of what a causal model writes, in words; undefined where there are none, or where they may as well be another task's. */
function writtenIn(table: Table, words: ColumnWords): string | undefined {
  const { text, prompt, completion, messages } = fitting(table, causalLm.columns, words) ?? {};
  const answers = prompt !== undefined && completion !== undefined;
  if (text !== undefined || answers === (messages !== undefined)) return undefined;
  if (!answers && (prompt ?? completion) !== undefined) return undefined;
  if (fitting(table, questionAnswering.columns, words) !== undefined) return undefined;
  return answers
    ? `prompts in ${quote(prompt)} and completions in ${quote(completion)}`
    : `chats in ${quote(messages!)}`;
}

function fitting(table: Table, roles: ColumnRoles, words: ColumnWords): Columns | undefined {
  try {
    return columnsOf(table, { roles, words, labelled: true });
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}
