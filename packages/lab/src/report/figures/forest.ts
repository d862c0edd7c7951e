/** Differences of pairs with their intervals, one below the other, beside a line where nothing differs. */
import { linearAxis, type Axis } from "./axes.ts";
import { element, lines, text, titled, type Drawing, type Line } from "./drawing.ts";
import { nearRange } from "./near.ts";
import { tickWords } from "../../serve/page/numbers.ts";

export interface ForestRow {
  readonly label: string;
  /** Number of pairs and the like, in small. */
  readonly note: string;
  readonly mean: number;
  readonly interval: readonly [number, number] | undefined;
  /** What is claimed is drawn in full, the rest lightly. */
  readonly strong: boolean;
  /** All of it in words. */
  readonly words: string;
}

export interface ForestOptions {
  readonly title: string;
  readonly axis: string;
  /** Half the width of the band where differences count as none. */
  readonly margin: number | undefined;
}

const [PANEL, RIGHT, TOP, ROW] = [320, 14, 14, 36];
/** About as wide as a letter of a label. */
const LETTER = 7.2;

export function forest(rows: readonly ForestRow[], { title, axis, margin }: ForestOptions): Drawing {
  const left = 24 + LETTER * Math.max(12, ...rows.map(({ label }) => label.length));
  const [right, bottom] = [left + PANEL, TOP + ROW * rows.length];
  const x = axisFor(rows, margin, [left, right]);
  const upright = (value: number): Line => [
    [x.place(value), TOP],
    [x.place(value), bottom],
  ];
  const marks = rows.map((row, i) => {
    const y = TOP + ROW * i + ROW / 2;
    return titled(
      row.words,
      text([left - 12, y - 2], row.label, { class: row.strong ? "strong" : undefined, "text-anchor": "end" }),
      text([left - 12, y + 12], row.note, { class: "mark", "text-anchor": "end" }),
      row.mean < x.ends[0] || row.mean > x.ends[1] ? beyond(row, x, y) : estimate(row, x, y),
    );
  });
  const band =
    margin === undefined
      ? ""
      : element("rect", {
          class: "band",
          x: x.place(-margin),
          y: TOP,
          width: x.place(margin) - x.place(-margin),
          height: bottom - TOP,
        });
  return {
    title,
    description: rows.map(({ words }) => words).join("; "),
    width: right + RIGHT,
    height: bottom + 40,
    body: [
      band,
      lines(x.marks.map(upright), "rule"),
      lines([upright(0)], "zero"),
      element(
        "g",
        { class: "mark", "text-anchor": "middle" },
        ...x.marks.map((value) => text([x.place(value), bottom + 17], signed(value))),
      ),
      text([right, bottom + 34], axis, { class: "mark", "text-anchor": "end" }),
      ...marks,
    ].join(""),
  };
}

/** Around 0 and what is near it: a pair that lies far away would press all others together. */
function axisFor(rows: readonly ForestRow[], margin: number | undefined, span: readonly [number, number]): Axis {
  const middle = [0, ...(margin === undefined ? [] : [-margin, margin])];
  const means = rows.map(({ mean }) => mean);
  const [least, most] = nearRange([...middle, ...means]);
  const all = least > 0 || most < 0;
  const shown = rows.filter(({ mean }) => all || (mean >= least && mean <= most));
  return linearAxis([...middle, ...shown.flatMap(({ mean, interval }) => [mean, ...(interval ?? [])])], span, 6);
}

/** Mean and interval; a circle alone where there is none. */
function estimate({ mean, interval, strong }: ForestRow, x: Axis, y: number): string {
  const tone = strong ? "c0" : "quiet";
  const at = x.place(mean);
  if (interval === undefined) return element("circle", { class: `hollow ${tone}`, cx: at, cy: y, r: 5 });
  const [from, to] = interval.map(x.place) as [number, number];
  return [
    lines(
      [
        [
          [from, y],
          [to, y],
        ],
        ...[from, to].map((end): Line => [
          [end, y - 5],
          [end, y + 5],
        ]),
      ],
      `whisker ${tone}`,
    ),
    element("rect", { class: `fill ${tone}`, x: at - 5, y: y - 5, width: 10, height: 10 }),
  ].join("");
}

/** An arrow at the edge, with the number. */
function beyond({ mean, strong }: ForestRow, x: Axis, y: number): string {
  const [edge, way] = mean < x.ends[0] ? [x.place(x.ends[0]), 1] : [x.place(x.ends[1]), -1];
  return [
    element("polygon", {
      class: `fill ${strong ? "c0" : "quiet"}`,
      points: `${edge.toFixed(1)},${y} ${(edge + 10 * way).toFixed(1)},${y - 6} ${(edge + 10 * way).toFixed(1)},${y + 6}`,
    }),
    text([edge + 15 * way, y + 4], signed(Number(mean.toFixed(2))), {
      class: "small",
      "text-anchor": way > 0 ? "start" : "end",
    }),
  ].join("");
}

function signed(value: number): string {
  return value === 0 ? "0" : `${value > 0 ? "+" : "−"}${tickWords(Math.abs(value))}`;
}
