/** Names of labels as files spell them. */
import { quote } from "@lowrank/tensor";
import type { Row, Table } from "../../data/table/table.ts";
import { InputError } from "../../errors.ts";

/** The label in a cell. @throws InputError with the place, where it is empty or no label */
export function labelCell(table: Table, i: number, column: string): string {
  const value = (table.rows[i] as Row)[column];
  const name = nameOf(value);
  if (name !== undefined && name.trim() !== "") return name;
  throw new InputError(
    name !== undefined || value === undefined || value === null
      ? `${table.place(i)}: ${quote(column)} is empty`
      : `${table.place(i)}: ${quote(column)} is ${quote(value)}, and a label is needed: a text, a number, true or false`,
  );
}

/** Several labels in one value: a list, or a text with separators between. Empty is none. @throws InputError for what is neither */
export function namesInCell(value: unknown, separator: string, place: () => string, column: string): readonly string[] {
  if (value === null || value === "") return [];
  const parts =
    typeof value === "string"
      ? value.split(separator).map((part) => part.trim())
      : Array.isArray(value)
        ? value
        : [value];
  const names = parts.map(nameOf);
  if (value !== undefined && names.every((name) => name !== undefined && name !== ""))
    return [...new Set(names as string[])];
  throw new InputError(
    value === undefined
      ? `${place()}: ${quote(column)} is missing; write an empty list where there is no label`
      : `${place()}: ${quote(column)} is ${quote(value as never)}, and a list of labels is needed, or a text with ${quote(separator)} between them`,
  );
}

function nameOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  const plain = typeof value === "boolean" || typeof value === "bigint" || Number.isFinite(value);
  return plain ? String(value) : undefined;
}

const NUMBER = /^[+-]?\d+(?:\.\d+)?$/;

export interface OrderedLabels {
  readonly labels: readonly string[];
  /** "by number", "by code unit". */
  readonly order: string;
}

/** Each name once: as numbers where all of them are, else by code unit. The rows' order does not count. */
export function orderedLabels(names: Iterable<string>): OrderedLabels {
  const labels = [...new Set(names)];
  const byCode = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  if (!labels.every((name) => NUMBER.test(name))) return { labels: labels.sort(byCode), order: "by code unit" };
  return { labels: labels.sort((a, b) => Number(a) - Number(b) || byCode(a, b)), order: "by number" };
}

/**
 * Says which labels differ only in capitals or in spaces around them: seldom what was meant, and learnt apart all the same.
 * @param names of all rows
 */
export function sayAlike(table: string, names: readonly string[], say: (line: string) => void): void {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  const alike = new Map<string, string[]>();
  for (const name of [...counts.keys()].sort()) {
    const plain = name.trim().toLowerCase();
    alike.set(plain, [...(alike.get(plain) ?? []), name]);
  }
  for (const spelt of alike.values())
    if (spelt.length > 1)
      say(
        `warning: ${table}: the labels ${spelt.map((name) => `${quote(name)} (${counts.get(name)})`).join(", ")} differ only in capitals or spaces, and are learnt as ${spelt.length} labels`,
      );
}

/** Place of each name. */
export function labelIds(labels: readonly string[]): ReadonlyMap<string, number> {
  return new Map(labels.map((name, id) => [name, id]));
}

/** @throws InputError where a label has no row, or a row a label that is not known; labels by row, at the places that `place` says */
export function checkLabels(
  rows: {
    readonly name: string;
    readonly labels: readonly (readonly string[])[];
    readonly place: (i: number) => string;
  },
  known: readonly string[],
  part: "train" | "validation",
): void {
  const ids = new Set(known);
  const seen = new Set<string>();
  rows.labels.forEach((names, i) => {
    for (const name of names) {
      if (!ids.has(name))
        throw new InputError(
          `${rows.place(i)}: the label ${quote(name)} is not known; ${part === "train" ? "labels are" : "the rows to train on have"} ${known.map((label) => quote(label)).join(", ")}`,
        );
      seen.add(name);
    }
  });
  const without = part === "train" ? known.find((name) => !seen.has(name)) : undefined;
  if (without !== undefined)
    throw new InputError(`${rows.name}: no row to train on has the label ${quote(without)}; a model cannot learn it`);
}
