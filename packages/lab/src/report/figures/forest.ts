/** Differences of pairs with their intervals, one below the other, beside a line where nothing differs. */
import { linearAxis } from "./axes.ts";
import { element, line, text, titled, type Drawing } from "./drawing.ts";
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
  const width = left + PANEL + RIGHT;
  const bottom = TOP + ROW * rows.length;
  const x = linearAxis(
    [
      0,
      ...(margin === undefined ? [] : [-margin, margin]),
      ...rows.flatMap(({ mean, interval }) => [mean, ...(interval ?? [])]),
    ],
    [left, width - RIGHT],
    6,
  );
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
  const marks = rows.map(({ label, note, mean, interval, strong, words }, i) => {
    const y = TOP + ROW * i + ROW / 2;
    const tone = strong ? "c0" : "quiet";
    const whisker =
      interval === undefined
        ? ""
        : [
            line([x.place(interval[0]), y], [x.place(interval[1]), y], `whisker ${tone}`),
            ...interval.map((end) => line([x.place(end), y - 5], [x.place(end), y + 5], `whisker ${tone}`)),
          ].join("");
    const dot =
      interval === undefined
        ? element("circle", { class: `hollow ${tone}`, cx: x.place(mean), cy: y, r: 5 })
        : element("rect", { class: `fill ${tone}`, x: x.place(mean) - 5, y: y - 5, width: 10, height: 10 });
    return titled(
      words,
      text([left - 12, y - 2], label, { class: strong ? "label strong" : "label", "text-anchor": "end" }),
      text([left - 12, y + 12], note, { class: "mark", "text-anchor": "end" }),
      whisker,
      dot,
    );
  });
  return {
    title,
    description: rows.map(({ words }) => words).join("; "),
    width,
    height: bottom + 40,
    body: [
      band,
      ...x.marks.map((value) => line([x.place(value), TOP], [x.place(value), bottom], "rule")),
      line([x.place(0), TOP], [x.place(0), bottom], "zero"),
      ...x.marks.map((value) =>
        text([x.place(value), bottom + 17], signedTick(value), { class: "mark", "text-anchor": "middle" }),
      ),
      text([width - RIGHT, bottom + 34], axis, { class: "mark", "text-anchor": "end" }),
      ...marks,
    ].join(""),
  };
}

function signedTick(value: number): string {
  return value === 0 ? "0" : `${value > 0 ? "+" : "−"}${tickWords(Math.abs(value))}`;
}
