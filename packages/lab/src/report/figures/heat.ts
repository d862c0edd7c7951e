/** Ranks by place in the model: a row for each kind of module, a column for each layer, the number in each cell, darker where it is larger. */
import { element, text, titled, type Drawing } from "./drawing.ts";

export interface HeatMap {
  readonly title: string;
  readonly description: string;
  readonly columns: readonly string[];
  readonly rows: readonly { readonly label: string; readonly values: readonly (number | null)[] }[];
  /** What the darkest shade stands for. */
  readonly most: number;
  readonly words: (value: number) => string;
}

const [LEFT, CELL, ROW, TOP] = [150, 44, 26, 48];
const SHADES = 8;

export function heatMap({ title, description, columns, rows, most, words }: HeatMap): Drawing {
  const cells = rows.flatMap(({ label, values }, r) => {
    const y = TOP + ROW * r;
    return values.flatMap((value, c) => {
      if (value === null) return [];
      const shade = value <= 0 ? 0 : Math.max(1, Math.round((value / Math.max(1e-9, most)) * SHADES));
      const x = LEFT + CELL * c;
      return [
        titled(
          `${label}, layer ${columns[c]!}: rank ${words(value)}`,
          element("rect", { class: `shade-${shade}`, x, y, width: CELL - 2, height: ROW - 2, rx: 2 }),
          text([x + CELL / 2 - 1, y + ROW / 2 + 3], words(value), { class: `on-${shade}` }),
        ),
      ];
    });
  });
  return {
    title,
    description,
    width: LEFT + CELL * Math.max(4, columns.length) + 8,
    height: TOP + ROW * rows.length + 8,
    body: [
      text([4, 16], title, { class: "label strong" }),
      element(
        "g",
        { "text-anchor": "end" },
        text([LEFT - 8, TOP - 8], "layer", { class: "mark" }),
        ...rows.map(({ label }, r) => text([LEFT - 8, TOP + ROW * r + ROW / 2 + 4], label, { class: "mark" })),
      ),
      element(
        "g",
        { "text-anchor": "middle" },
        ...columns.map((column, c) => text([LEFT + CELL * c + CELL / 2 - 1, TOP - 8], column, { class: "mark" })),
        ...cells,
      ),
    ].join(""),
  };
}
