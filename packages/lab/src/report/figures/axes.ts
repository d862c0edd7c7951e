/** Axes: from values to places, with round marks. */
import { tickWords } from "../../serve/page/numbers.ts";
import { extent, ticks } from "../../serve/page/scale.ts";
import { element, lines, text } from "./drawing.ts";

export interface Axis {
  readonly place: (value: number) => number;
  readonly marks: readonly number[];
  /** Values at the ends. */
  readonly ends: readonly [number, number];
}

/** Share of the length that is left free at either end. */
const ROOM = 0.06;

/** @param span places of the ends; the second one may be the smaller, as upwards on a screen */
export function linearAxis(values: readonly number[], span: readonly [number, number], count = 5): Axis {
  const [least, most] = extent(values) ?? [0, 1];
  const room = ROOM * (most - least);
  const [from, to] = [least - room, most + room];
  return {
    place: (value) => span[0] + ((value - from) / (to - from)) * (span[1] - span[0]),
    marks: ticks(from, to, count),
    ends: [from, to],
  };
}

/** For values over powers of ten; all above 0. */
export function logAxis(values: readonly number[], span: readonly [number, number]): Axis {
  const [least, most] = extent(values.map(Math.log10)) ?? [0, 1];
  const room = Math.max(ROOM * (most - least), 0.08);
  const [from, to] = [least - room, most + room];
  const inside = (value: number): boolean => Math.log10(value) >= from && Math.log10(value) <= to;
  const marksOf = (factors: readonly number[]): number[] =>
    Array.from({ length: Math.ceil(to) - Math.floor(from) + 1 }, (_, i) => 10 ** (Math.floor(from) + i))
      .flatMap((power) => factors.map((factor) => Number((factor * power).toPrecision(12))))
      .filter(inside);
  // few decades have room for more marks
  const marks = [[1], [1, 3], [1, 2, 5]].map(marksOf).find((some) => some.length >= 3) ?? marksOf([1, 2, 3, 5, 7]);
  return {
    place: (value) => span[0] + ((Math.log10(value) - from) / (to - from)) * (span[1] - span[0]),
    marks,
    ends: [10 ** from, 10 ** to],
  };
}

/** Where a drawing's marks stand. */
export interface Frame {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** Rules and words of both axes. */
export function axes(
  x: Axis,
  y: Axis,
  { left, right, top, bottom }: Frame,
  words: {
    readonly x?: string;
    readonly y?: string;
    readonly ofX?: (value: number) => string;
    readonly ofY?: (value: number) => string;
  },
): string {
  const { ofX = tickWords, ofY = tickWords } = words;
  return [
    lines(
      y.marks.map((value) => [
        [left, y.place(value)],
        [right, y.place(value)],
      ]),
      "rule",
    ),
    element(
      "g",
      { class: "mark", "text-anchor": "end" },
      ...y.marks.map((value) => text([left - 6, y.place(value) + 4], ofY(value))),
    ),
    lines(
      [
        ...x.marks.map(
          (value) =>
            [
              [x.place(value), bottom],
              [x.place(value), bottom + 4],
            ] as const,
        ),
        [
          [left, bottom],
          [right, bottom],
        ],
      ],
      "axis",
    ),
    element(
      "g",
      { class: "mark", "text-anchor": "middle" },
      ...x.marks.map((value) => text([x.place(value), bottom + 17], ofX(value))),
    ),
    words.x === undefined ? "" : text([right, bottom + 34], words.x, { class: "mark", "text-anchor": "end" }),
    words.y === undefined
      ? ""
      : element("g", {}, text([left - 6, top - 8], words.y, { class: "mark", "text-anchor": "start" })),
  ].join("");
}
