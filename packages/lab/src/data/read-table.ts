/** Tables in files of this machine. */
import { readBytes } from "./read-file.ts";
import { readTable } from "./table/formats.ts";
import type { Table } from "./table/table.ts";

/** Rows are objects in memory. */
const LARGEST_TABLE = 2 ** 30;

/** @throws InputError for a file that is not there, is no table, or is larger than 1 GiB */
export function readTableAt(path: string): Promise<Table> {
  return readTable(readBytes(path, LARGEST_TABLE), path);
}
