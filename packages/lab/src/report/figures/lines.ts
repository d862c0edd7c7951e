/** A small chart of lines: each run's faintly, their mean in full, and what others do for comparison. */
import type { Point } from "../run.ts";
import { axes, linearAxis, logAxis } from "./axes.ts";
import { element, inTenths, path, text, titled, type Drawing } from "./drawing.ts";

export interface SmallChart {
  readonly title: string;
  readonly description: string;
  readonly mean: readonly Point[];
  readonly runs: readonly (readonly Point[])[];
  /** Points that stand out, and what they say. */
  readonly chosen?: readonly (readonly [Point, string])[];
  /** Each point of the mean is marked. */
  readonly dots?: boolean;
}

export interface SmallOptions {
  /** All charts of one kind have the same axes. */
  readonly all: readonly Point[];
  readonly x: string;
  readonly y: string;
  readonly logX?: boolean;
  readonly ofX?: (value: number) => string;
}

const [WIDTH, HEIGHT] = [300, 200];
/** More would be one grey band. */
export const MOST_RUNS = 20;
const FRAME = { left: 44, right: 290, top: 40, bottom: 158 } as const;

export function smallChart(
  { title, description, mean, runs, chosen = [], dots = false }: SmallChart,
  options: SmallOptions,
): Drawing {
  const [xs, ys] = [options.all.map(([x]) => x), options.all.map(([, y]) => y)];
  const x =
    options.logX === true ? logAxis(xs, [FRAME.left, FRAME.right]) : linearAxis(xs, [FRAME.left, FRAME.right], 4);
  const y = linearAxis(ys, [FRAME.bottom, FRAME.top], 4);
  const place = ([a, b]: Point): readonly [number, number] => [x.place(a), y.place(b)];
  const circle = (point: Point, name: string, r: number): string => {
    const [cx, cy] = place(point);
    return element("circle", { class: name, cx, cy, r });
  };
  return {
    title,
    description,
    width: WIDTH,
    height: HEIGHT,
    body: [
      text([4, 14], title, { class: "strong" }),
      axes(x, y, FRAME, options),
      inTenths(
        ...runs.slice(0, MOST_RUNS).map((run) => path(run.map(place), "line quiet thin")),
        path(mean.map(place), "line c0"),
      ),
      ...(dots ? mean.map((point) => circle(point, "fill c0", 3)) : []),
      ...chosen.map(([point, words]) => titled(words, circle(point, "hollow c1", 7))),
    ].join(""),
  };
}
