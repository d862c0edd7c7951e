/** Which column of a table has which part in a task: as it is said, or guessed from names where only one can be meant. */
import { quote } from "@lowrank/tensor";
import { suggestion } from "@lowrank/tensor/check";
import { InputError } from "../../errors.ts";
import type { Row, Table } from "./table.ts";

/** What a column is for. */
export interface ColumnRole {
  /** Names that are taken for it where nothing is said; capitals do not count. */
  readonly names: readonly string[];
  /** `labelled`: not needed where only answers are wanted. `optional`: used where it is there. */
  readonly needed: "always" | "labelled" | "optional";
}

export type ColumnRoles = Readonly<Record<string, ColumnRole>>;
/** Columns by role; undefined for those that the table has not. */
export type Columns = Readonly<Record<string, string | undefined>>;
/** What a person says: names by role, null for a part that is to be left out. */
export type ColumnWords = Readonly<Record<string, string | null | undefined>>;

export interface ColumnQuestion {
  readonly roles: ColumnRoles;
  readonly words?: ColumnWords | undefined;
  /** Whether rows must say what is right. */
  readonly labelled: boolean;
  /** Receives a line for what was guessed. */
  readonly say?: ((line: string) => void) | undefined;
}

/** @throws InputError naming the role, what there is, and the word that says which is meant */
export function columnsOf(table: Table, { roles, words = {}, labelled, say }: ColumnQuestion): Columns {
  const found: Record<string, string | undefined> = {};
  for (const role of Object.keys(roles)) {
    const said = words[role];
    if (typeof said !== "string") continue;
    if (table.columns.includes(said)) found[role] = said;
    else if (labelled || roles[role]!.needed !== "labelled")
      throw new InputError(
        `${table.name}: there is no column ${quote(said)}${suggestion(said, table.columns)}; ${wordFor(role)}`,
      );
  }
  const claimed = new Set(Object.values(found));
  const free = table.columns.filter((column) => !claimed.has(column));
  for (const [role, { names, needed }] of Object.entries(roles)) {
    if (words[role] !== undefined) continue;
    const fits = free.filter((column) => names.includes(column.toLowerCase()));
    const required = needed === "always" || (needed === "labelled" && labelled);
    if (fits.length > 1 && (required || needed === "optional")) throw ambiguous(table, role, fits);
    if (fits.length === 0 && required) throw missing(table, role, names);
    if (fits.length === 0) continue;
    found[role] = fits[0]!;
    if (fits[0] !== role) say?.(`${table.name}: the column ${quote(fits[0]!)} is taken for ${role}`);
  }
  return found;
}

/** How a person says which column is meant, in a study or in code, and in a command. */
function wordFor(role: string): string {
  return `say columns.${role} (--column ${role}=NAME in a command)`;
}

function ambiguous(table: Table, role: string, fits: readonly string[]): InputError {
  return new InputError(
    `${table.name}: the ${role} may be any of the columns ${fits.map((name) => quote(name)).join(", ")}; ${wordFor(role)}`,
  );
}

function missing(table: Table, role: string, names: readonly string[]): InputError {
  return new InputError(
    `${table.name}: no column is called like a ${role} (${names.slice(0, 4).join(", ")}, …); the columns are ${table.columns.map((name) => quote(name)).join(", ")}; ${wordFor(role)}`,
  );
}

/** Text of a cell. @throws InputError with the place, where it is empty or no text */
export function textCell(table: Table, i: number, column: string): string {
  const value = (table.rows[i] as Row)[column];
  if (typeof value === "string" && value.trim() !== "") return value;
  throw new InputError(
    value === undefined || value === null || typeof value === "string"
      ? `${table.place(i)}: ${quote(column)} is empty`
      : `${table.place(i)}: ${quote(column)} is ${quote(value)}, and a text is needed`,
  );
}
