/** SVG as text: elements with escaped values, and what every drawing has: a size, a title, a description. */
import { escaped } from "../../text/escaped.ts";

export interface Drawing {
  readonly title: string;
  /** What is to be seen, for who does not see it. */
  readonly description: string;
  readonly width: number;
  readonly height: number;
  /** Elements. */
  readonly body: string;
}

type Value = string | number | undefined;

/** Numbers have one digit behind the point, less than anybody sees. */
export function element(
  name: string,
  attributes: Readonly<Record<string, Value>>,
  ...children: readonly string[]
): string {
  const said = Object.entries(attributes).flatMap(([key, value]) =>
    value === undefined
      ? []
      : [` ${key}="${typeof value === "number" ? String(Number(value.toFixed(1))) : escaped(value)}"`],
  );
  const inner = children.join("");
  return inner === "" ? `<${name}${said.join("")}/>` : `<${name}${said.join("")}>${inner}</${name}>`;
}

export function text(
  at: readonly [x: number, y: number],
  words: string,
  attributes: Readonly<Record<string, Value>> = {},
): string {
  return element("text", { x: at[0], y: at[1], ...attributes }, escaped(words));
}

export function line(from: readonly [number, number], to: readonly [number, number], name: string): string {
  return element("line", { class: name, x1: from[0], y1: from[1], x2: to[0], y2: to[1] });
}

/** Several as one element. */
export function lines(
  ends: readonly (readonly [from: readonly [number, number], to: readonly [number, number]])[],
  name: string,
): string {
  const tenth = (value: number): string => String(Math.round(10 * value) / 10);
  const d = ends.map(
    ([from, to]) =>
      `M${from.map(tenth).join(" ")}${from[1] === to[1] ? `H${tenth(to[0])}` : from[0] === to[0] ? `V${tenth(to[1])}` : `L${to.map(tenth).join(" ")}`}`,
  );
  return d.length === 0 ? "" : element("path", { class: name, d: d.join("") });
}

/** Straight from point to point; each is written as its distance from the one before, half the size of places for curves of many points. */
export function path(points: readonly (readonly [number, number])[], name: string): string {
  // in tenths, as whole numbers, so that what is rounded off does not add up along the way
  const tenths = points.map((point) => point.map((value) => Math.round(10 * value)) as [number, number]);
  const steps = tenths.flatMap(([x, y], i) => {
    const [fromX, fromY] = i === 0 ? [0, 0] : tenths[i - 1]!;
    return [x - fromX, y - fromY].map((distance) => `${distance < 0 ? "" : " "}${distance / 10}`);
  });
  return element("path", { class: name, d: points.length === 0 ? "" : `m${steps.join("").trimStart()}` });
}

/** What a mark says where a pointer rests on it. */
export function titled(words: string, ...marks: readonly string[]): string {
  return element("g", {}, element("title", {}, escaped(words)), ...marks);
}

/** A file of its own, which brings its style. */
export function svg(drawing: Drawing, style: string): string {
  const { title, description, body } = drawing;
  const names = `<title id="t">${escaped(title)}</title><desc id="d">${escaped(description)}</desc>`;
  return root(drawing, ' role="img" aria-labelledby="t d"', names, style, body);
}

/** For the source of an image, inside of which nobody is told anything: its words are what the image says instead of it. */
export function image(drawing: Drawing, style: string): string {
  return root(drawing, "", "", style, drawing.body.replaceAll(/<title>[^<]*<\/title>/g, ""));
}

function root(size: Drawing, said: string, names: string, style: string, body: string): string {
  const [width, height] = [Math.ceil(size.width), Math.ceil(size.height)];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" class="figure"${said}>`,
    names,
    `<style>${style}</style><rect class="paper" width="${width}" height="${height}"/>`,
    body,
    "</svg>",
  ].join("");
}

/** As the address of an image, to stand between double quotes: percent signs where an address or HTML needs them, a quarter less than base64. */
export function address(image: string): string {
  const quoted = image.replaceAll("'", "&apos;").replaceAll('"', "'");
  return `data:image/svg+xml,${quoted.replaceAll(/[%#&\t\n\r]/g, encodeURIComponent)}`;
}
