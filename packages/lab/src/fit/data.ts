/** What people give as data in code: rows, a table, a file of a page, or texts. */
import { readTableFile, type NamedBytes } from "../data/table/formats.ts";
import { tableOf, type Table } from "../data/table/table.ts";
import { InputError } from "../errors.ts";

/** Objects with a value for each column; a table that was read; a `File`, whose name says what it is (.csv, .tsv, .jsonl, .json, .parquet). */
export type RowData = Iterable<Readonly<Record<string, unknown>>> | Table | NamedBytes;

/** @param name of what has none, in messages */
export async function tableFrom(data: RowData, name: string): Promise<Table> {
  if (typeof data !== "object" || data === null)
    throw new InputError(`${name}: expected rows, a table or a file, got ${typeof data}`);
  if ("arrayBuffer" in data) return readTableFile(data);
  const table = "columns" in data && "place" in data ? data : tableOf(data as Iterable<Record<string, unknown>>, name);
  if (table.rows.length === 0) throw new InputError(`${name}: has no rows`);
  return table;
}
