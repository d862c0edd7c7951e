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

export function polyline(points: readonly (readonly [number, number])[], name: string): string {
  return element("polyline", {
    class: name,
    points: points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "),
  });
}

/** What a mark says where a pointer rests on it. */
export function titled(words: string, ...marks: readonly string[]): string {
  return element("g", {}, element("title", {}, escaped(words)), ...marks);
}

/** A file of its own, which brings its style. */
export function svg({ title, description, body, ...size }: Drawing, style: string): string {
  const [width, height] = [Math.ceil(size.width), Math.ceil(size.height)];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" class="figure" role="img" aria-labelledby="t d">`,
    `<title id="t">${escaped(title)}</title><desc id="d">${escaped(description)}</desc>`,
    `<style>${style}</style><rect class="paper" width="${width}" height="${height}"/>`,
    body,
    "</svg>",
  ].join("");
}
