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

type Place = readonly [x: number, y: number];

export type Line = readonly [from: Place, to: Place];

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

export function text(at: Place, words: string, attributes: Readonly<Record<string, Value>> = {}): string {
  return element("text", { x: at[0], y: at[1], ...attributes }, escaped(words));
}

/** Several as one element. */
export function lines(ends: readonly Line[], name: string): string {
  return ends.length === 0 ? "" : element("path", { class: name, d: ends.map(stroke).join("") });
}

function stroke([from, to]: Line): string {
  const [x1, y1, x2, y2] = [...from, ...to].map(rounded);
  const onward = from[1] === to[1] ? `H${x2}` : from[0] === to[0] ? `V${y2}` : `L${x2} ${y2}`;
  return `M${x1} ${y1}${onward}`;
}

/** Boxes of one width as one element, each by its left end's middle; their height is the width of its stroke. */
export function bars(ends: readonly Place[], width: number, name: string): string {
  const bar = ([x, y]: Place): string => `M${rounded(x)} ${rounded(y)}h${width}`;
  return ends.length === 0 ? "" : element("path", { class: name, d: ends.map(bar).join("") });
}

/** Whole numbers, so that what is rounded off does not add up along a path. */
function tenths(value: number): number {
  return Math.round(10 * value);
}

function rounded(value: number): number {
  return tenths(value) / 10;
}

/** Straight from point to point, for `inTenths`; each is written as its distance from the one before, half the size of places for curves of many points. */
export function path(points: readonly Place[], name: string): string {
  const places = points.map(([x, y]): Place => [tenths(x), tenths(y)]);
  const steps = places.flatMap(([x, y], i) => {
    const [fromX, fromY] = i === 0 ? [0, 0] : places[i - 1]!;
    return [x - fromX, y - fromY].map((distance) => `${distance < 0 ? "" : " "}${distance}`);
  });
  return element("path", { class: name, d: points.length === 0 ? "" : `m${steps.join("").trimStart()}` });
}

/** Around paths, whose units are tenths of all else's: curves without points and zeros are shorter by two fifths. */
export function inTenths(...paths: readonly string[]): string {
  return element("g", { transform: "scale(.1)" }, ...paths);
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
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"${said}>`,
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
