/**
 * Plain text: one document, in passages that follow one another and end at blank lines, so that some can be held out. Put together they are the text, with
 * newlines for CRLF.
 */
import { decodeText } from "../decode-text.ts";
import { InputError } from "../../errors.ts";
import type { Table } from "./table.ts";

/** Characters of a passage: a two-hundredth of the text, within bounds. */
const [SHORTEST, LONGEST, PASSAGES] = [2_000, 65_536, 200];

/** Columns: `text`, and `continues`, which is true where the document goes on in the next row. @throws InputError for a file without a word */
export function readPlainText(bytes: Uint8Array, name: string): Table {
  const text = decodeText(bytes, name).replaceAll("\r\n", "\n");
  if (text.trim() === "") throw new InputError(`${name}: there is no text in it`);
  const passages = passagesOf(text, Math.min(LONGEST, Math.max(SHORTEST, text.length / PASSAGES)));
  const lines = [1];
  for (const passage of passages) lines.push(lines.at(-1)! + passage.split("\n").length - 1);
  return {
    name,
    columns: ["text", "continues"],
    rows: passages.map((passage, i) => ({ text: passage, continues: i < passages.length - 1 })),
    place: (i) => `${name}:${lines[i]}`,
  };
}

function passagesOf(text: string, size: number): string[] {
  const passages: string[] = [];
  let passage = "";
  // a paragraph and the blank lines behind it
  for (const [paragraph] of text.matchAll(/[^]+?(?:\n[ \t]*(?=\n)\n+|$)/gu)) {
    passage += paragraph;
    if (passage.length < size) continue;
    passages.push(passage);
    passage = "";
  }
  if (passage.trim() !== "" || passages.length === 0) passages.push(passage);
  return passages;
}
