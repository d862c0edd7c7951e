/** Writes a report: `report.html`, which is all of it, `report.md` with its figures, and tables as CSV. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { statOf } from "../data/read-file.ts";
import { InputError } from "../errors.ts";
import { figuresOf, type ReportDocument } from "./document.ts";
import { svg } from "./figures/drawing.ts";
import { figureStyle } from "./figures/style.ts";
import type { Report } from "./model/report.ts";
import { claimsCsv, runsCsv } from "./views/csv.ts";
import { GENERATOR, html } from "./views/html.ts";
import { markdown } from "./views/markdown.ts";

export const PAGE = "report.html";
const MARKDOWN = "report.md";
const FIGURES = "figures";
/** What a report is beside its figures. */
const WORDS = [PAGE, MARKDOWN, "claims.csv", "runs.csv"] as const;

/** Names of the files, below `out`. Figures of an earlier report that this one has not go. @throws InputError where somebody else's files would be written over */
export function publishReport(out: string, report: Report, document: ReportDocument): string[] {
  const earlier = makeRoom(out);
  const figureFile = (name: string): string => `${FIGURES}/${name}.svg`;
  const files = [
    [PAGE, html(document)],
    [MARKDOWN, markdown(document, figureFile)],
    ["claims.csv", claimsCsv(report)],
    ["runs.csv", runsCsv(report)],
    ...figuresOf(document.blocks).map(
      ([name, drawing]) => [figureFile(name), `${svg(drawing, figureStyle(drawing.body))}\n`] as const,
    ),
  ] as const;
  for (const file of earlier) if (!files.some(([name]) => name === file)) rmSync(join(out, file), { force: true });
  for (const [file, content] of files) writeFileSync(join(out, file), content);
  return files.map(([file]) => file);
}

/** @returns figures that an earlier report wrote there @throws InputError where the report cannot be written */
function makeRoom(out: string): string[] {
  if (statOf(out)?.isDirectory() === false) throw new InputError(`--out: ${out} is a file; give a folder`);
  const there = WORDS.filter((name) => statOf(join(out, name)) !== undefined);
  for (const name of there)
    if (statOf(join(out, name))?.isFile() !== true)
      throw new InputError(
        `--out: ${join(out, name)} is no file, and the report writes one there; choose another folder, or move it away`,
      );
  const ours = there.includes(PAGE) && readFileSync(join(out, PAGE), "utf8").includes(GENERATOR);
  if (!ours && there.length > 0)
    throw new InputError(
      `--out: ${out} has a ${there[0]} that no report wrote; choose another folder, or move it away`,
    );
  const figures = join(out, FIGURES);
  if (statOf(figures)?.isDirectory() === false)
    throw new InputError(`--out: ${figures} is a file, and the report has a folder there; move it away`);
  mkdirSync(figures, { recursive: true });
  return ours && there.includes(MARKDOWN) ? figuresIn(readFileSync(join(out, MARKDOWN), "utf8")) : [];
}

/** What a report's Markdown refers to: other figures in its folder are somebody's own. */
function figuresIn(text: string): string[] {
  return [...text.matchAll(/\]\((figures\/[^()/\\]+\.svg)\)/g)].map(([, file]) => file!);
}
