/** Elements of names, attributes and texts. Texts are always texts: nothing that a run says is ever read as HTML. */

export type Child = Node | string | number | undefined;
type Attributes = Readonly<Record<string, string | number | boolean | undefined | ((event: Event) => void)>>;

const SVG = "http://www.w3.org/2000/svg";

/** An element; attributes that are undefined or false are left out, functions are listeners. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  return filled(document.createElement(tag), attributes, children);
}

/** The same of SVG. */
export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[K] {
  return filled(document.createElementNS(SVG, tag), attributes, children) as SVGElementTagNameMap[K];
}

function filled<E extends Element>(element: E, attributes: Attributes, children: readonly Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children)
    if (child !== undefined) element.append(typeof child === "number" ? String(child) : child);
  return element;
}

/** A table with a caption that is read out, and headers that name their column or row. */
export function table(
  caption: string,
  columns: readonly string[],
  rows: readonly (readonly Child[])[],
  classes: readonly string[] = [],
): HTMLElement {
  const head = h("tr", {}, ...columns.map((title, c) => h("th", { scope: "col", class: classes[c] }, title)));
  const body = rows.map((cells) =>
    h(
      "tr",
      {},
      ...cells.map((cell, c) =>
        c === 0 ? h("th", { scope: "row", class: classes[c] }, cell) : h("td", { class: classes[c] }, cell),
      ),
    ),
  );
  return h(
    "div",
    { class: "scroll", role: "region", "aria-label": caption, tabindex: 0 },
    h("table", {}, h("caption", { class: "unseen" }, caption), h("thead", {}, head), h("tbody", {}, ...body)),
  );
}

export function section(title: string, ...children: readonly Child[]): HTMLElement {
  const id = `s-${title.replace(/[^A-Za-z0-9]+/g, "-").toLowerCase()}`;
  return h("section", { "aria-labelledby": id }, h("h2", { id }, title), ...children);
}
