/** Ranks of modules over time: a row for each module, a column for each choice of the allocator, darker where more ranks are kept. */
import { h, svg, table, type Child } from "./dom.ts";

export interface Ranks {
  readonly modules: readonly string[];
  /** Step and rank of each module. */
  readonly choices: readonly { readonly step: number; readonly ranks: readonly (number | null)[] }[];
}

/** More would be narrower than a screen's point. */
const MOST_COLUMNS = 110;
const [ROW, LEFT, TOP, WIDTH] = [13, 190, 6, 760];
/** Shades of the style sheet. */
export const SHADES = 8;

/** Which shade shows the rank; 0 is none. */
export function shadeOf(rank: number, most: number): number {
  return rank <= 0 ? 0 : Math.max(1, Math.round((rank / Math.max(1, most)) * SHADES));
}

/** `bert.encoder.layer.0.attention.self.query` → `0 attention.self.query`. */
export function shortModule(module: string): string {
  const [, layer, kind] = /\.(\d+)\.(.+)$/.exec(module) ?? [];
  return layer === undefined ? module : `${layer} ${kind!}`;
}

export function heatMap({ modules, choices }: Ranks): HTMLElement {
  const every = Math.ceil(choices.length / MOST_COLUMNS);
  const shown = choices.filter((_, i) => i % every === 0 || i === choices.length - 1);
  const most = Math.max(1, ...shown.flatMap(({ ranks }) => ranks.map((rank) => rank ?? 0)));
  const cell = (WIDTH - LEFT) / Math.max(1, shown.length);
  const height = TOP + ROW * modules.length + 22;
  const rows = modules.map((module, m) =>
    svg(
      "g",
      {},
      svg(
        "text",
        { x: LEFT - 6, y: TOP + ROW * m + ROW / 2, dy: "0.32em", "text-anchor": "end" },
        cutShort(shortModule(module)),
      ),
      ...shown.map(({ step, ranks }, c) =>
        svg(
          "rect",
          {
            class: `shade-${shadeOf(ranks[m] ?? 0, most)}`,
            x: (LEFT + c * cell).toFixed(2),
            y: TOP + ROW * m,
            width: (cell + 0.3).toFixed(2),
            height: ROW - 1,
          },
          svg("title", {}, `${shortModule(module)}: rank ${ranks[m] ?? "?"} after step ${step}`),
        ),
      ),
    ),
  );
  const ends = [shown[0], shown.at(-1)].map((choice, e) =>
    svg(
      "text",
      { x: e === 0 ? LEFT : WIDTH, y: height - 6, "text-anchor": e === 0 ? "start" : "end" },
      `step ${choice?.step ?? ""}`,
    ),
  );
  const last = shown.at(-1);
  const label = `Ranks of ${modules.length} modules over ${choices.length} choices, at most ${most}; the last ones are in the table below`;
  const picture = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": label, class: "heat" },
    ...rows,
    ...(shown.length > 1 ? ends : []),
  );
  return h(
    "div",
    {},
    legend(most),
    h("div", { class: "scroll", role: "region", "aria-label": "rank map", tabindex: 0 }, picture),
    h(
      "details",
      {},
      h("summary", {}, `Ranks after step ${last?.step ?? 0} as a table`),
      table(
        "Last rank of every module",
        ["module", "rank"],
        modules.map((module, m): Child[] => [module, String(last?.ranks[m] ?? "–")]),
        ["", "num"],
      ),
    ),
  );
}

function legend(most: number): HTMLElement {
  const shades = Array.from({ length: SHADES + 1 }, (_, shade) =>
    svg("rect", { class: `shade-${shade}`, x: 14 * shade, y: 0, width: 14, height: 12 }),
  );
  return h(
    "p",
    { class: "legend" },
    "rank 0 ",
    svg("svg", { viewBox: `0 0 ${14 * (SHADES + 1)} 12`, class: "shades", "aria-hidden": "true" }, ...shades),
    ` ${most}`,
  );
}

const LONGEST = 30;

function cutShort(text: string): string {
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST - 1)}…`;
}
