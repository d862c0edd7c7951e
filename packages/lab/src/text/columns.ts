/** Columns without borders, and labelled text that is broken at words: for what is read and not pasted. */
import { pad, width, type Column } from "./table.ts";

/** Cells set in columns, two spaces between and before. Every row has as many cells as there are columns. */
export function renderColumns(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map((column, c) => Math.max(width(column.title), ...rows.map((row) => width(row[c]!))));
  const line = (cells: readonly string[]): string =>
    `  ${cells.map((cell, c) => pad(cell, widths[c]!, columns[c]!.align ?? "left")).join("  ")}`.trimEnd();
  return [line(columns.map((column) => column.title)), ...rows.map(line)].join("\n");
}

/** A label in a column of its own, and text beside it in lines of at most `to` cells. A word that is longer has a line for itself. */
export function wrapped(label: string, text: string, indent: number, to: number): string {
  const lines: string[] = [];
  let line = "";
  // a number stays with its unit
  for (const word of text.split(/ (?!(?:[KMGT]i)?B\b)/)) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && indent + width(longer) > to) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  lines.push(line);
  return lines.map((one, i) => `${pad(i === 0 ? label : "", indent, "left")}${one}`.trimEnd()).join("\n");
}
