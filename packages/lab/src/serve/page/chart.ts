/**
 * A chart of lines over steps, drawn as SVG so that colours, sizes and texts are those of the style sheet and of the reader. Pointer or arrow keys
 * choose a step, whose values are said in words below.
 */
import { h, svg } from "./dom.ts";
import { shortNumber, tickWords } from "./numbers.ts";
import { extent, nearest, smoothed, thinned, ticks, type Point } from "./scale.ts";

export interface Series {
  readonly label: string;
  readonly points: readonly Point[];
  /** Few points are marked. */
  readonly marked?: boolean;
  /** Many points are drawn faintly, and their running mean in full. */
  readonly noisy?: boolean;
}

const [WIDTH, HEIGHT] = [440, 200];
const [LEFT, RIGHT, TOP, BOTTOM] = [68, 10, 10, 26];
const MANY = 200;
const COLUMNS = (WIDTH - LEFT - RIGHT) / 2;

export interface Chart {
  readonly element: HTMLElement;
  update(series: readonly Series[]): void;
}

export function lineChart(title: string, words: (value: number) => string = shortNumber): Chart {
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", tabindex: 0, class: "chart" });
  const said = h("p", { class: "readout", "aria-live": "polite" });
  const key = h("p", { class: "key" });
  const element = h("figure", {}, h("figcaption", {}, title), key, picture, said);
  let series: readonly Series[] = [];
  let chosen: number | undefined;

  const draw = (): void => {
    const [fromX, toX] = extent(series.flatMap(({ points }) => points.map(([x]) => x))) ?? [0, 1];
    const values = series.flatMap(({ points }) => points.map(([, y]) => y));
    const [fromY, toY] = extent(values) ?? [0, 1];
    const x = (value: number): number => LEFT + ((value - fromX) / (toX - fromX)) * (WIDTH - LEFT - RIGHT);
    const y = (value: number): number => HEIGHT - BOTTOM - ((value - fromY) / (toY - fromY)) * (HEIGHT - TOP - BOTTOM);
    const place = ([a, b]: Point): string => `${x(a).toFixed(1)},${y(b).toFixed(1)}`;
    // one number that does not change is said once
    const still = values.length > 0 && values.every((value) => value === values[0]);
    const marks = still ? [values[0]!] : ticks(fromY, toY, 4);
    const rules = marks.map((value) =>
      svg(
        "g",
        {},
        svg("line", { class: "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }),
        svg(
          "text",
          { x: LEFT - 6, y: y(value), dy: "0.32em", "text-anchor": "end" },
          words === shortNumber && marks.length > 1 ? tickWords(value) : words(value),
        ),
      ),
    );
    const steps = ticks(fromX, toX, 5)
      .filter(Number.isInteger)
      .map((value) => svg("text", { x: x(value), y: HEIGHT - 8, "text-anchor": "middle" }, String(value)));
    const line = (points: readonly Point[], classes: string): SVGElement =>
      svg("polyline", { class: classes, points: thinned(points, COLUMNS).map(place).join(" ") });
    const lines = series.flatMap(({ points, marked, noisy }, s) => [
      ...(noisy !== true || points.length < MANY
        ? [line(points, `line line-${s}`)]
        : [line(points, `line line-${s} faint`), line(smoothed(points, points.length / 40), `line line-${s}`)]),
      ...(marked === true && points.length <= 60
        ? points.map(([a, b]) => svg("circle", { class: `dot dot-${s}`, cx: x(a), cy: y(b), r: 3 }))
        : []),
    ]);
    const cursor =
      chosen === undefined || chosen < fromX || chosen > toX
        ? []
        : [svg("line", { class: "cursor", x1: x(chosen), x2: x(chosen), y1: TOP, y2: HEIGHT - BOTTOM })];
    picture.replaceChildren(...rules, ...steps, ...lines, ...cursor);
    picture.setAttribute("aria-label", `${title}: ${series.map(summary).join("; ")}`);
    picture.dataset["from"] = String(fromX);
    picture.dataset["to"] = String(toX);
    said.textContent = chosen === undefined ? series.map(summary).join("; ") : readout(chosen);
  };
  const summary = ({ label, points }: Series): string =>
    points.length === 0
      ? `${label}: nothing yet`
      : `${label} ${words(points.at(-1)![1])} at step ${points.at(-1)![0]}${points.length > 1 ? `, from ${words(points[0]![1])}` : ""}`;
  const readout = (step: number): string =>
    series
      .filter(({ points }) => points.length > 0)
      .map(({ label, points }) => {
        const [at, value] = points[nearest(points, step)]!;
        return `${label} ${words(value)} at step ${at}`;
      })
      .join("; ");

  const choose = (step: number | undefined): void => {
    chosen = step;
    draw();
  };
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const part = (((event as PointerEvent).clientX - box.left) / box.width) * WIDTH;
    const [from, to] = [Number(picture.dataset["from"]), Number(picture.dataset["to"])];
    choose(from + Math.min(1, Math.max(0, (part - LEFT) / (WIDTH - LEFT - RIGHT))) * (to - from));
  });
  picture.addEventListener("pointerleave", () => choose(undefined));
  picture.addEventListener("blur", () => choose(undefined));
  picture.addEventListener("keydown", (event) => {
    const { key: pressed } = event as KeyboardEvent;
    const longest = series.reduce((a, b) => (b.points.length > a.points.length ? b : a), series[0]!).points;
    if (longest.length === 0) return;
    const now = chosen === undefined ? longest.length - 1 : nearest(longest, chosen);
    const stride = Math.max(1, Math.round(longest.length / 50));
    const to = { ArrowLeft: now - stride, ArrowRight: now + stride, Home: 0, End: longest.length - 1 }[pressed];
    if (to === undefined) return;
    event.preventDefault();
    choose(longest[Math.min(longest.length - 1, Math.max(0, to))]![0]);
  });

  return {
    element,
    update(next) {
      series = next;
      element.hidden = series.every(({ points }) => points.length === 0);
      key.replaceChildren(
        ...(series.length < 2
          ? []
          : series.map(({ label }, s) =>
              h(
                "span",
                {},
                svg(
                  "svg",
                  { viewBox: "0 0 24 8", class: "swatch", "aria-hidden": "true" },
                  svg("line", { class: `line line-${s}`, x1: 0, x2: 24, y1: 4, y2: 4 }),
                ),
                ` ${label} `,
              ),
            )),
      );
      draw();
    },
  };
}
