/**
 * CoNLL's columns: a word a line, its tag in the last column, an empty line after each sentence. Columns are parted by tabs where a line has one, else by
 * spaces. The table has a row a sentence, with the lists `tokens` and `tags`.
 */
import { InputError } from "../../errors.ts";
import { decodeText } from "../decode-text.ts";
import { tableOf, type Table } from "./table.ts";

/** What the files of 2003 put between documents. */
const DOCUMENT = "-DOCSTART-";

/** @throws InputError with file and line for a word without a tag */
export function readConll(bytes: Uint8Array, name: string): Table {
  const rows: { readonly tokens: string[]; readonly tags: string[] }[] = [];
  const lines: number[] = [];
  let open: (typeof rows)[number] | undefined;
  for (const [i, line] of decodeText(bytes, name)
    .split(/\r\n|\n|\r/)
    .entries()) {
    const fields = line.includes("\t") ? line.split("\t").map((field) => field.trim()) : line.trim().split(/ +/);
    const [word, tag] = [fields[0]!, fields.at(-1)!];
    if (fields.every((field) => field === "") || word === DOCUMENT) {
      open = undefined;
      continue;
    }
    if (fields.length < 2 || word === "" || tag === "")
      throw new InputError(`${name}:${i + 1}: has no ${word === "" ? "word" : "tag"}; a line is a word, … and its tag`);
    if (open === undefined) {
      rows.push((open = { tokens: [], tags: [] }));
      lines.push(i + 1);
    }
    open.tokens.push(word);
    open.tags.push(tag);
  }
  return tableOf(rows, name, (i) => `${name}:${lines[i] ?? 1}`);
}
