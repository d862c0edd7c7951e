/** Writes a report: `report.html`, which is all of it, `report.md` with its figures, and tables as CSV. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { figuresOf, type ReportDocument } from "./document.ts";
import { svg } from "./figures/drawing.ts";
import { FIGURE_STYLE } from "./figures/style.ts";
import type { Report } from "./model/report.ts";
import { claimsCsv, runsCsv } from "./views/csv.ts";
import { html } from "./views/html.ts";
import { markdown } from "./views/markdown.ts";

export const PAGE = "report.html";
const FIGURES = "figures";

/** Names of the files, below `out`. */
export function publishReport(out: string, report: Report, document: ReportDocument): string[] {
  mkdirSync(join(out, FIGURES), { recursive: true });
  const figureFile = (name: string): string => `${FIGURES}/${name}.svg`;
  const files = [
    [PAGE, html(document)],
    ["report.md", markdown(document, figureFile)],
    ["claims.csv", claimsCsv(report)],
    ["runs.csv", runsCsv(report)],
    ...figuresOf(document.blocks).map(
      ([name, drawing]) => [figureFile(name), `${svg(drawing, FIGURE_STYLE)}\n`] as const,
    ),
  ] as const;
  for (const [file, content] of files) writeFileSync(join(out, file), content);
  return files.map(([file]) => file);
}
