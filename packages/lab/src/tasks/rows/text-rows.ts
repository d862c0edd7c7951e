/** What tasks share whose rows hold a text, or a pair of texts. */
import { textCell, type ColumnRole, type Columns } from "../../data/table/columns.ts";
import type { Table } from "../../data/table/table.ts";
import { encodeTexts, type EncodedTexts } from "../../data/texts.ts";
import type { EncodeContext, RowItem, Rows } from "../../records/row-task.ts";

export interface TextItem extends RowItem {
  readonly text: string;
  readonly pair?: string;
}

/** Names by which the columns of texts are known. */
export const TEXT_COLUMNS: { readonly text: ColumnRole; readonly pair: ColumnRole } = {
  text: {
    names: [
      "text",
      "sentence",
      "sentence1",
      "premise",
      "question1",
      "review",
      "content",
      "comment",
      "tweet",
      "document",
    ],
    needed: "always",
  },
  pair: { names: ["pair", "text_pair", "text2", "sentence2", "hypothesis", "question2"], needed: "optional" },
};

/** The texts of a row. @throws InputError with the place, where one is empty */
export function readTexts(table: Table, row: number, { text, pair }: Columns): TextItem {
  return {
    row,
    text: textCell(table, row, text!),
    ...(pair === undefined ? {} : { pair: textCell(table, row, pair) }),
  };
}

export function textKey({ text, pair }: TextItem): string {
  return JSON.stringify([text, pair]);
}

export function encodeItems(
  { items, place }: Rows<TextItem>,
  { tokenizer, maxLength }: Pick<EncodeContext, "tokenizer" | "maxLength">,
): EncodedTexts {
  const pairs = items[0]?.pair === undefined ? undefined : items.map(({ pair }) => pair!);
  const texts = items.map(({ text }) => text);
  return encodeTexts(tokenizer, texts, { pairs, maxLength }, (i) => place(items[i]!));
}
