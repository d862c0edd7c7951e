/** One point for each config, with the interval of its mean, named beside it. */
import { tickWords } from "../../serve/page/numbers.ts";
import { axes, linearAxis, logAxis } from "./axes.ts";
import { element, lines, text, titled, type Drawing } from "./drawing.ts";
import { nearRange } from "./near.ts";

export interface ScatterPoint {
  readonly label: string;
  readonly x: number;
  readonly y: number;
  readonly interval: readonly [number, number] | undefined;
  readonly words: string;
}

export interface ScatterOptions {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly ofX: (value: number) => string;
}

const [WIDTH, HEIGHT] = [460, 310];
const FRAME = { left: 48, right: 450, top: 30, bottom: 262 } as const;
const [LETTER, LINE] = [6.6, 14];

export function scatter(points: readonly ScatterPoint[], options: ScatterOptions): Drawing {
  const x = logAxis(
    points.map((point) => point.x),
    [FRAME.left + 10, FRAME.right - 10],
  );
  const [least, most] = nearRange(points.map((point) => point.y));
  const shown = points.filter((point) => point.y >= least && point.y <= most);
  const y = linearAxis(
    shown.flatMap((point) => [point.y, ...(point.interval ?? [])]),
    [FRAME.bottom, FRAME.top],
  );
  // what lies far away is an arrow at the edge, with its number
  const placed = points.map((point) => {
    const inside = Math.min(y.ends[1], Math.max(y.ends[0], point.y));
    const isBeyond = inside !== point.y;
    return {
      ...point,
      label: isBeyond ? `${point.label} ${tickWords(Number(point.y.toFixed(2)))}` : point.label,
      beyond: isBeyond ? (point.y < inside ? 1 : -1) : 0,
      at: [x.place(point.x), y.place(inside)] as const,
    };
  });
  const labels = labelPlaces(placed);
  const marks = placed.map(({ at, label, interval, words, beyond }, i) => {
    const [atX, atY] = at;
    const mark =
      beyond === 0
        ? [
            interval === undefined
              ? ""
              : lines(
                  [
                    [
                      [atX, y.place(interval[0])],
                      [atX, y.place(interval[1])],
                    ],
                  ],
                  "whisker c0 faint",
                ),
            element("circle", { class: "fill c0", cx: atX, cy: atY, r: 4.5 }),
          ]
        : [element("polygon", { class: "fill quiet", points: arrow(atX, atY - 2 * beyond, beyond) })];
    return titled(words, ...mark, text(labels[i]!.at, label, { class: "small", "text-anchor": labels[i]!.anchor }));
  });
  return {
    title: options.title,
    description: points.map(({ words }) => words).join("; "),
    width: WIDTH,
    height: HEIGHT,
    body: [axes(x, y, FRAME, options), ...marks].join(""),
  };
}

/** @param way 1: down */
function arrow(x: number, y: number, way: number): string {
  return [
    [x, y],
    [x - 6, y - 10 * way],
    [x + 6, y - 10 * way],
  ]
    .map(([a, b]) => `${a!.toFixed(1)},${b!.toFixed(1)}`)
    .join(" ");
}

interface Placed {
  readonly label: string;
  readonly at: readonly [number, number];
}

interface LabelPlace {
  readonly at: readonly [number, number];
  readonly anchor: "start" | "end" | "middle";
}

type Box = readonly [left: number, top: number, right: number, bottom: number];

/** The first free place around each point, from the right on; where none is free, the least crowded. */
function labelPlaces(points: readonly Placed[]): LabelPlace[] {
  const taken: Box[] = points.map(({ at: [x, y] }) => [x - 6, y - 6, x + 6, y + 6]);
  return points.map(({ label, at: [x, y] }) => {
    const around: LabelPlace[] = [1, 2, 3].flatMap((ring): LabelPlace[] => {
      const far = (ring - 1) * LINE;
      return [
        { at: [x + 9, y + 4 - far], anchor: "start" },
        { at: [x - 9, y + 4 - far], anchor: "end" },
        { at: [x + 9, y + 4 + far], anchor: "start" },
        { at: [x - 9, y + 4 + far], anchor: "end" },
        { at: [x, y - 10 - far], anchor: "middle" },
        { at: [x, y + 18 + far], anchor: "middle" },
      ];
    });
    const crowd = (place: LabelPlace): number => {
      const box = boxOf(place, label);
      const outside = box[0] < FRAME.left || box[2] > FRAME.right || box[1] < FRAME.top - 12 || box[3] > FRAME.bottom;
      return taken.reduce((sum, other) => sum + overlap(box, other), outside ? 1e4 : 0);
    };
    const best = around.reduce((a, b) => (crowd(b) < crowd(a) ? b : a));
    taken.push(boxOf(best, label));
    return best;
  });
}

function boxOf({ at: [x, y], anchor }: LabelPlace, label: string): Box {
  const width = LETTER * label.length;
  const left = anchor === "start" ? x : anchor === "end" ? x - width : x - width / 2;
  return [left, y - 11, left + width, y + 3];
}

function overlap(a: Box, b: Box): number {
  const [width, height] = [Math.min(a[2], b[2]) - Math.max(a[0], b[0]), Math.min(a[3], b[3]) - Math.max(a[1], b[1])];
  return width > 0 && height > 0 ? width * height : 0;
}
