/**
 * Colours of figures, in both schemes. Blue and vermilion are Okabe and Ito's, which every kind of colour vision tells apart; shades are one hue from
 * light to dark, and numbers stand in the cells. Nothing is said by colour alone.
 */
import { DARK, LIGHT } from "../../serve/style.ts";

/** The strongest shade, darkest in the light scheme; 0 is of no rank at all. */
export const SHADES = 8;

/** Words are read best in white on these, in the light scheme, and in black in the dark one. */
export function isDeep(shade: number): boolean {
  return shade > SHADES / 2;
}

const RULES = [
  ".paper { fill: var(--paper); }",
  ".figure text { font: 12px system-ui, sans-serif; fill: var(--ink); }",
  ".figure .mark, .figure .mark text { fill: var(--quiet); font-size: 11.5px; }",
  ".figure .small { font-size: 12px; paint-order: stroke; stroke: var(--paper); stroke-width: 3px; stroke-linejoin: round; }",
  ".figure .strong { font-weight: 650; }",
  ".rule { stroke: var(--edge); stroke-width: 1; }",
  ".axis { stroke: var(--quiet); stroke-width: 1; }",
  ".zero { stroke: var(--ink); stroke-width: 1.5; }",
  ".band { fill: var(--line-2); fill-opacity: .16; }",
  ".whisker { stroke-width: 2; }",
  ".line { fill: none; stroke-width: 2; stroke-linejoin: round; }",
  ".thin { stroke-width: 1; stroke-opacity: .45; }",
  ".hollow { fill: var(--paper); stroke-width: 2; }",
  ".line.c0, .whisker.c0, .hollow.c0 { stroke: var(--line-0); }",
  ".fill.c0 { fill: var(--line-0); }",
  ".hollow.c1 { stroke: var(--line-1); fill: none; }",
  ".faint { stroke-opacity: .45; }",
  ".line.quiet, .whisker.quiet, .hollow.quiet { stroke: var(--quiet); }",
  ".fill.quiet { fill: var(--quiet); }",
  ...Array.from({ length: SHADES + 1 }, (_, i) => `.shade-${i} { fill: var(--shade-${i}); }`),
];

function onShades(scheme: "light" | "dark"): string[] {
  const [pale, deep] = scheme === "light" ? [DARKEST, LIGHTEST] : [LIGHTEST, DARKEST];
  return [`.figure .on-pale text { fill: ${pale}; }`, `.figure .on-deep text { fill: ${deep}; }`];
}

const [DARKEST, LIGHTEST] = ["#14171c", "#ffffff"];

const CLASS = /\.([a-z][\w-]*)/g;

/** What a drawing holds: the rules that its elements meet, and the colours that these name, since a page has many. @param body its elements */
export function figureStyle(body: string): string {
  const there = new Set([
    "figure",
    "paper",
    ...[...body.matchAll(/ class="([^"]*)"/g)].flatMap(([, at]) => at!.split(" ")),
  ]);
  const met = (rule: string): boolean =>
    rule
      .slice(0, rule.indexOf("{"))
      .split(",")
      .some((selector) => [...selector.matchAll(CLASS)].every(([, name]) => there.has(name!)));
  const rulesOf = (of: readonly string[]): string => of.filter(met).join(" ");
  const [rules, light, dark] = [rulesOf(RULES), rulesOf(onShades("light")), rulesOf(onShades("dark"))];
  const named = new Set(rules.match(/--[\w-]+/g));
  const colours = (scheme: string): string =>
    [...scheme.matchAll(/(--[\w-]+): [^;]+;/g)]
      .flatMap(([colour, name]) => (named.has(name!) ? [colour] : []))
      .join(" ");
  return [
    `:root { ${colours(LIGHT)} } ${inDark(`:root { ${colours(DARK)} }`)}`,
    rules,
    light,
    dark === "" ? "" : inDark(dark),
  ]
    .map(tight)
    .join("");
}

/** Without the spaces that are for who writes rules: a page has the style of each of its drawings. */
function tight(rules: string): string {
  return rules.replaceAll(/\s*([{};,]|:(?= ))\s*/g, "$1").replaceAll(";}", "}");
}

function inDark(rules: string): string {
  return `@media (prefers-color-scheme: dark) { ${rules} }`;
}
