/** Plain text tables in Markdown form: readable in a terminal, pasteable into a page. */

export interface Column {
  readonly title: string;
  /** Numbers are set to the right. */
  readonly align?: "left" | "right";
}

/** Markdown table with padded cells. Every row has as many cells as there are columns. @param widest wider ones are not padded: their lines are wrapped, so that nothing would stand below anything */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  widest: number = Number.POSITIVE_INFINITY,
): string {
  const full = columns.map((column, c) => Math.max(3, width(column.title), ...rows.map((row) => width(row[c]!))));
  const padded = full.reduce((sum, one) => sum + one + 3, 1) <= widest;
  const widths = padded ? full : full.map(() => 3);
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, c) => (padded ? pad(cell, widths[c]!, columns[c]!.align ?? "left") : cell)).join(" | ")} |`;
  const rule = columns.map((column, c) => {
    const dashes = "-".repeat(widths[c]! - 1);
    return column.align === "right" ? `${dashes}:` : `-${dashes}`;
  });
  return [line(columns.map((column) => column.title)), `| ${rule.join(" | ")} |`, ...rows.map(line)].join("\n");
}

/** Code points, which is the width for everything the lab prints (no wide characters). */
export function width(text: string): number {
  return [...text].length;
}

export function pad(text: string, to: number, align: "left" | "right"): string {
  const spaces = " ".repeat(to - width(text));
  return align === "right" ? spaces + text : text + spaces;
}
