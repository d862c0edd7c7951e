/** Ranks by place in the model: a row for each kind of module, a column for each layer, the number in each cell, which stands out more where it is larger. */
import { grouped } from "../grouped.ts";
import { bars, element, text, type Drawing } from "./drawing.ts";
import { isDeep, SHADES } from "./style.ts";

export interface HeatMap {
  readonly title: string;
  readonly description: string;
  readonly columns: readonly string[];
  readonly rows: readonly { readonly label: string; readonly values: readonly (number | null)[] }[];
  /** What the strongest shade stands for. */
  readonly most: number;
  readonly words: (value: number) => string;
}

const [LEFT, CELL, ROW, TOP] = [150, 44, 26, 48];

interface Cell {
  readonly shade: number;
  /** The middle of its left side. */
  readonly end: readonly [x: number, y: number];
  readonly words: string;
}

export function heatMap({ title, description, columns, rows, most, words }: HeatMap): Drawing {
  const cells = rows.flatMap(({ values }, r) =>
    values.flatMap((value, c): Cell[] =>
      value === null
        ? []
        : [{ shade: shadeOf(value, most), end: [LEFT + CELL * c, TOP + ROW * r + ROW / 2 - 1], words: words(value) }],
    ),
  );
  return {
    title,
    description,
    width: LEFT + CELL * Math.max(4, columns.length) + 8,
    height: TOP + ROW * rows.length + 8,
    body: [
      text([4, 16], title, { class: "strong" }),
      element(
        "g",
        { class: "mark", "text-anchor": "end" },
        text([LEFT - 8, TOP - 8], "layer"),
        ...rows.map(({ label }, r) => text([LEFT - 8, TOP + ROW * r + ROW / 2 + 4], label)),
      ),
      element(
        "g",
        { "text-anchor": "middle" },
        element(
          "g",
          { class: "mark" },
          ...columns.map((column, c) => text([LEFT + CELL * c + CELL / 2 - 1, TOP - 8], column)),
        ),
        element(
          "g",
          { "stroke-width": ROW - 2 },
          ...[...grouped(cells, ({ shade }) => shade)].map(([shade, of]) =>
            bars(
              of.map(({ end }) => end),
              CELL - 2,
              `shade-${shade}`,
            ),
          ),
        ),
        ...[...grouped(cells, ({ shade }) => isDeep(shade))].map(([deep, of]) =>
          element("g", { class: deep ? "on-deep" : "on-pale" }, ...of.map(number)),
        ),
      ),
    ].join(""),
  };
}

function shadeOf(value: number, most: number): number {
  return value <= 0 ? 0 : Math.max(1, Math.round((value / Math.max(1e-9, most)) * SHADES));
}

function number({ end: [x, y], words }: Cell): string {
  return text([x + CELL / 2 - 1, y + 4], words);
}
