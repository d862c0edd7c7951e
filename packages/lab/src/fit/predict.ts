/** Answers in code. */
import { tableOf, type Table } from "../data/table/table.ts";
import { tableFrom, type RowData } from "./data.ts";
import type { Predictor } from "./predictor.ts";

/** What is said of a row, by column: `{ prediction: "positive", probabilities: { negative: 0.02, positive: 0.98 } }`. */
export type Prediction = Readonly<Record<string, unknown>>;

/**
 * What the model says of each text or row, in order. It depends on that text alone: not on how many there are, nor on their order.
 * @param texts texts, or rows with the columns that the model was trained on
 * @throws InputError naming the row that is empty, or the column that is missing
 */
export async function predict(model: Predictor, texts: readonly string[] | RowData): Promise<Prediction[]> {
  if (Array.isArray(texts) && texts.length === 0) return [];
  const { table, columns } = await asked(texts);
  const { answers } = await model.answer(table, columns);
  return answers.map(({ fields }) => fields);
}

async function asked(
  texts: readonly string[] | RowData,
): Promise<{ readonly table: Table; readonly columns?: { readonly text: string } }> {
  if (!Array.isArray(texts) || texts.some((text) => typeof text !== "string"))
    return { table: await tableFrom(texts as RowData, "rows") };
  const rows = (texts as readonly string[]).map((text) => ({ text }));
  return { table: tableOf(rows, "texts"), columns: { text: "text" } };
}
