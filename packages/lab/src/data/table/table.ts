/** Rows with named columns, wherever they came from: what tasks on files read. */
import { InputError } from "../../errors.ts";

/** Values by column. Of text files strings; of JSON lines and Parquet what the file holds, absent keys being undefined. */
export type Row = Readonly<Record<string, unknown>>;

export interface Table {
  /** What errors call it: a path, a file's name, "rows". */
  readonly name: string;
  /** In the order of the file. */
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
  /** Where row `i` begins, for messages: `reviews.csv:17`. */
  place(i: number): string;
}

/** Keys such as `__proto__` are columns like others. */
export function emptyRow(): Record<string, unknown> {
  return Object.create(null) as Record<string, unknown>;
}

/**
 * Rows that are in memory already, as objects. Columns are the keys of all rows, in the order in which they first come.
 * @throws InputError for what is no list of objects
 */
export function tableOf(
  rows: Iterable<Readonly<Record<string, unknown>>>,
  name: string = "rows",
  place: (i: number) => string = (i) => `${name}[${i}]`,
): Table {
  const columns = new Set<string>();
  const copied: Row[] = [];
  for (const row of rows) {
    if (typeof row !== "object" || row === null || Array.isArray(row))
      throw new InputError(`${place(copied.length)}: is no object; a row is an object with a value for each column`);
    const copy = emptyRow();
    for (const [key, value] of Object.entries(row)) {
      columns.add(key);
      copy[key] = value;
    }
    copied.push(copy);
  }
  return { name, columns: [...columns], rows: copied, place };
}
