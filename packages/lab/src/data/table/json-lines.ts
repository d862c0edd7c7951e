/** JSON lines: an object a line. And one JSON document: a list of objects, or SQuAD's form. */
import { InputError } from "../../errors.ts";
import { decodeText } from "../decode-text.ts";
import { isSquad, squadTable } from "./squad.ts";
import { tableOf, type Table } from "./table.ts";

/** @throws InputError with file and line for what is no object */
export function readJsonLines(bytes: Uint8Array, name: string): Table {
  const rows: Record<string, unknown>[] = [];
  const lines: number[] = [];
  for (const [i, line] of decodeText(bytes, name).split("\n").entries()) {
    if (line.trim() === "") continue;
    const value = parsed(line, `${name}:${i + 1}`);
    lines.push(i + 1);
    rows.push(value as Record<string, unknown>);
  }
  return tableOf(rows, name, (i) => `${name}:${lines[i] ?? 1}`);
}

/** @throws InputError unless the document is a list of objects, or has SQuAD's form */
export function readJson(bytes: Uint8Array, name: string): Table {
  const value = parsed(decodeText(bytes, name), name);
  if (isSquad(value)) return squadTable(value, name);
  if (!Array.isArray(value))
    throw new InputError(`${name}: is no list of rows; write [{…}, {…}], or an object a line in a .jsonl file`);
  return tableOf(value as Record<string, unknown>[], name);
}

function parsed(text: string, where: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new InputError(`${where}: is not valid JSON: ${(error as Error).message}`, { cause: error });
  }
}
