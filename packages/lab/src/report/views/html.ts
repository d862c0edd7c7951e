/** One page that needs nothing else: no script, no file, no network. Both colour schemes, a phone's width, paper, a text browser. */
import type { Block, Column, ReportDocument } from "../document.ts";
import { address, image, type Drawing } from "../figures/drawing.ts";
import { figureStyle } from "../figures/style.ts";
import { ofNumbers, pageStyle } from "./page-style.ts";
import { escaped } from "../../text/escaped.ts";

/** By which a page is known as one that may be written over. */
export const GENERATOR = '<meta name="generator" content="lowrank report">';

export function html({ title, blocks }: ReportDocument): string {
  const contents = blocks.flatMap((block) =>
    block.kind === "heading"
      ? [`<li class="level-${block.level}"><a href="#${block.id}">${escaped(block.text)}</a></li>`]
      : [],
  );
  return [
    "<!doctype html>",
    '<html lang="en"><head><meta charset="utf-8">',
    GENERATOR,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="color-scheme" content="light dark">',
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">`,
    `<title>${escaped(title)}</title><style>${pageStyle(new Set(blocks.flatMap(numbersIn)))}</style></head>`,
    `<body><main><h1>${escaped(title)}</h1>`,
    ...blocks.map((block) => written(block)),
    `<nav aria-labelledby="contents"><h2 id="contents">Contents</h2><ol>${contents.join("")}</ol></nav>`,
    "</main></body></html>",
    "",
  ].join("\n");
}

function written(block: Block): string {
  switch (block.kind) {
    case "heading":
      return `<h${block.level} id="${block.id}">${escaped(block.text)}</h${block.level}>`;
    case "paragraph":
      return `<p${block.role === undefined ? "" : ` class="${block.role}"`}>${escaped(block.text)}</p>`;
    case "list":
      return `<dl>${block.items.map(([term, text]) => `<dt>${escaped(term)}</dt><dd>${escaped(text)}</dd>`).join("")}</dl>`;
    case "verdicts":
      return `<ul class="verdicts">${block.items
        .map(
          ({ says, tone, verdict, texts, names, id }) =>
            `<li class="${tone.replace(" ", "-")}"><p class="says"><strong class="verdict">${escaped(verdict)}</strong> <a href="#${id}">“${escaped(says)}”</a></p>${texts.map((text) => `<p>${escaped(text)}</p>`).join("")}${names === "" ? "" : `<p class="note">${escaped(names)}</p>`}</li>`,
        )
        .join("")}</ul>`;
    case "table":
      return table(block);
    case "figure":
      return `<figure><figcaption><strong>${escaped(sentence(block.drawing.title))}.</strong> ${escaped(block.caption)}</figcaption>${picture(block.drawing)}</figure>`;
    case "figures":
      return `<figure><figcaption>${escaped(block.caption)}</figcaption><div class="many">${block.figures.map(([, drawing]) => picture(drawing)).join("\n")}</div></figure>`;
    case "details":
      return `<details><summary>${escaped(block.summary)}</summary>${block.blocks.map((inner) => written(inner)).join("\n")}</details>`;
  }
}

/** Shares of its own size: narrower its words could not be read, and it is scrolled; wider they would shout. */
const [LEAST, MOST] = [0.77, 1.4];

/** As an image, whose words are then its description: text browsers would run the labels of a drawing together. */
function picture(drawing: Drawing): string {
  const { title, description, width, height } = drawing;
  const source = address(image(drawing, figureStyle(drawing.body)));
  return `<div class="scroll" style="flex-basis:${Math.round(width)}px"><img src="${source}" width="${Math.round(width)}" height="${Math.round(height)}" style="min-width:${Math.round(LEAST * width)}px;max-width:${Math.round(MOST * width)}px" alt="${escaped(`${title}. ${description}`)}"></div>`;
}

function sentence(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

type Table = Extract<Block, { kind: "table" }>;

/** Without the end tags that HTML does without, of which a report has thousands. */
function table({ caption, columns, rows }: Table): string {
  const head = columns.map((column) => `<th scope="col"${classOf(column)}>${escaped(column.title)}`).join("");
  const body = rows.map(
    (row) =>
      `<tr>${row.map((text, c) => `<${c === 0 ? 'th scope="row"' : "td"}${classOf(columns[c]!)}>${escaped(text)}`).join("")}`,
  );
  const named = escaped(caption);
  const numbers = numbered(columns).map(ofNumbers).join(" ");
  return `<figure class="table"><figcaption>${named}</figcaption><div class="scroll" tabindex="0" role="region" aria-label="${named}"><table${numbers === "" ? "" : ` class="${numbers}"`}><thead><tr>${head}</thead><tbody>\n${body.join("\n")}\n</tbody></table></div></figure>`;
}

function classOf({ whole = false }: Column): string {
  return whole ? ' class="whole"' : "";
}

/** Places, from 1 on, of columns of numbers. */
function numbered(columns: Table["columns"]): number[] {
  return columns.flatMap(({ align }, c) => (align === "right" ? [c + 1] : []));
}

function numbersIn(block: Block): number[] {
  if (block.kind === "details") return block.blocks.flatMap(numbersIn);
  return block.kind === "table" ? numbered(block.columns) : [];
}
