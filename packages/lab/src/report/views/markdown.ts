/** The same words as Markdown, figures as files beside it. */
import { renderTable } from "../../text/table.ts";
import type { Block, ReportDocument } from "../document.ts";

/** Tables up to here are read as text too. */
const WIDEST = 80;

/** @param figureFile where a figure lies, by its name */
export function markdown({ title, blocks }: ReportDocument, figureFile: (name: string) => string): string {
  return `${[`# ${plain(title)}`, ...blocks.flatMap((block) => written(block, figureFile))].join("\n\n")}\n`;
}

function written(block: Block, figureFile: (name: string) => string): string[] {
  switch (block.kind) {
    case "heading":
      return [`${"#".repeat(block.level)} ${plain(block.text)}`];
    case "paragraph":
      return [block.role === "alarm" ? `> **${plain(block.text)}**` : plain(block.text)];
    case "list":
      return [block.items.map(([term, text]) => `* **${plain(term)}** ${plain(text)}`).join("\n")];
    case "verdicts":
      return [
        block.items
          .map(
            ({ says, verdict, texts, names }) =>
              `* **${plain(verdict)}:** “${plain(says)}”. ${plain([...texts, names].join(" ").trimEnd())}`,
          )
          .join("\n"),
      ];
    case "table":
      return [
        `*${plain(block.caption)}*`,
        renderTable(
          block.columns.map(({ title, align }) => ({ title: cell(title), ...(align === undefined ? {} : { align }) })),
          block.rows.map((row) => row.map(cell)),
          WIDEST,
        ),
      ];
    case "figure":
      return [picture(block.drawing.title, figureFile(block.name)), `*${plain(block.caption)}*`];
    case "figures":
      return [
        ...block.figures.map(([name, { title }]) => picture(title, figureFile(name))),
        `*${plain(block.caption)}*`,
      ];
    case "details":
      return [`**${plain(block.summary)}**`, ...block.blocks.flatMap((inner) => written(inner, figureFile))];
  }
}

function picture(title: string, file: string): string {
  return `![${plain(title)}](${file})`;
}

/** What Markdown would take for marks or HTML. */
function plain(text: string): string {
  return text.replaceAll(/[\\`*_[\]<>|]/g, "\\$&").replaceAll("\n", " ");
}

function cell(text: string): string {
  return plain(text);
}
