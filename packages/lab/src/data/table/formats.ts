/** The forms of files that hold tables: a line each. */
import { quote } from "@lowrank/tensor";
import { InputError } from "../../errors.ts";
import { readConll } from "./conll.ts";
import { readCsv, readTsv } from "./csv.ts";
import { readJson, readJsonLines } from "./json-lines.ts";
import { readParquet } from "./parquet.ts";
import { readPlainText } from "./plain-text.ts";
import type { Table } from "./table.ts";

export interface TableFormat {
  /** Ends of files' names, the first being the usual one. */
  readonly extensions: readonly string[];
  /** @param name what errors call the file */
  read(bytes: Uint8Array, name: string): Table | Promise<Table>;
}

export const TABLE_FORMATS: readonly TableFormat[] = [
  { extensions: [".csv"], read: readCsv },
  { extensions: [".tsv"], read: readTsv },
  { extensions: [".jsonl", ".ndjson"], read: readJsonLines },
  { extensions: [".json"], read: readJson },
  { extensions: [".conll", ".iob", ".iob2", ".bio"], read: readConll },
  { extensions: [".parquet"], read: readParquet },
  { extensions: [".txt"], read: readPlainText },
];

/**
 * The table in the bytes of a file, by the end of its name.
 * @throws InputError for other ends, and what the format refuses
 */
export async function readTable(bytes: Uint8Array, name: string): Promise<Table> {
  const lower = name.toLowerCase();
  const format = TABLE_FORMATS.find(({ extensions }) => extensions.some((end) => lower.endsWith(end)));
  if (format === undefined)
    throw new InputError(
      `${quote(name)}: is no table by its name; known are ${TABLE_FORMATS.flatMap(({ extensions }) => extensions).join(", ")}`,
    );
  const table = await format.read(bytes, name);
  if (table.rows.length === 0) throw new InputError(`${name}: has no rows`);
  return table;
}

/** A `File` of a page, or any bytes with a name. */
export interface NamedBytes {
  readonly name: string;
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** The table in a file that a page was given. */
export async function readTableFile(file: NamedBytes): Promise<Table> {
  return readTable(new Uint8Array(await file.arrayBuffer()), file.name);
}
