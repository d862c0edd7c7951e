/** The resolved table of adapted modules, as people read it. */
import type { ModuleRow } from "../store/result.ts";
import { formatCount } from "../text/format.ts";
import { renderTable } from "../text/table.ts";

/** Rows of modules that differ only in their layer number are shown once. */
export function moduleTable(rows: readonly ModuleRow[]): string {
  const groups = new Map<string, { row: ModuleRow; count: number }>();
  for (const row of rows) {
    const key = `${row.module.replace(/\.\d+\./g, ".*.")}|${row.rank}|${row.scale}|${row.scales}`;
    const known = groups.get(key);
    groups.set(key, { row, count: (known?.count ?? 0) + 1 });
  }
  // updates that scale have no rank and no factor, but a side
  const scaling = rows.some(({ rank, scales }) => rank === undefined && scales !== undefined);
  return renderTable(
    [
      { title: "module" },
      { title: "×", align: "right" },
      { title: "in → out", align: "right" },
      ...(scaling
        ? [{ title: "scales", align: "right" as const }]
        : [
            { title: "rank", align: "right" as const },
            { title: "scale", align: "right" as const },
          ]),
      { title: "parameters", align: "right" },
    ],
    [...groups.values()].map(({ row, count }) => [
      row.module.replace(/\.\d+\./g, ".*."),
      String(count),
      `${row.in} → ${row.out}`,
      ...(scaling
        ? [row.scales ?? ""]
        : [
            row.rank === undefined ? "" : String(row.rank),
            row.scale === undefined ? "" : String(Number(row.scale.toPrecision(6))),
          ]),
      formatCount(row.parameters * count),
    ]),
  );
}
