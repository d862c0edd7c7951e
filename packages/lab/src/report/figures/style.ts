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

/** Of each kind of element; colours by their names, which a drawing has as what they stand for. */
const RULES = [
  [".paper", "fill: --paper"],
  // what words have, unless they or what they stand in say otherwise
  ["svg", "font: 12px system-ui, sans-serif; fill: --ink"],
  [".mark", "fill: --quiet; font-size: 11.5px"],
  [".small", "paint-order: stroke; stroke: --paper; stroke-width: 3px; stroke-linejoin: round"],
  [".strong", "font-weight: 650"],
  [".rule", "stroke: --edge"],
  [".axis", "stroke: --quiet"],
  [".zero", "stroke: --ink; stroke-width: 1.5"],
  [".band", "fill: --line-2; fill-opacity: .16"],
  [".whisker", "stroke-width: 2"],
  // in tenths, as their points
  [".line", "fill: none; stroke-width: 20; stroke-linejoin: round"],
  [".thin", "stroke-width: 10; stroke-opacity: .45"],
  [".hollow", "fill: --paper; stroke-width: 2"],
  [".line.c0, .whisker.c0, .hollow.c0", "stroke: --line-0"],
  [".fill.c0", "fill: --line-0"],
  [".hollow.c1", "stroke: --line-1; fill: none"],
  [".faint", "stroke-opacity: .45"],
  [".line.quiet, .whisker.quiet, .hollow.quiet", "stroke: --quiet"],
  [".fill.quiet", "fill: --quiet"],
  ...Array.from({ length: SHADES + 1 }, (_, i) => [`.shade-${i}`, `stroke: --shade-${i}`] as const),
  [".on-pale", "fill: --on-pale"],
  [".on-deep", "fill: --on-deep"],
] as const;

type Colours = ReadonlyMap<string, string>;

function coloursOf(scheme: string): Colours {
  return new Map([...scheme.matchAll(/(--[\w-]+): ([^;]+);/g)].map(([, name, colour]) => [name!, colour!]));
}

const IN_LIGHT = coloursOf(`${LIGHT} --on-pale: #14171c; --on-deep: #ffffff;`);
const IN_DARK = coloursOf(`${DARK} --on-pale: #ffffff; --on-deep: #14171c;`);

const CLASS = /\.([a-z][\w-]*)/g;
const COLOUR = /--[\w-]+/g;

/**
 * What a drawing holds: the rules that its elements meet, since a page has many. Colours stand in the rules and those of the dark scheme in a second
 * set, so that a program that knows no variables and asks for no scheme, as most that edit drawings, shows the light one.
 *
 * @param body its elements
 */
export function figureStyle(body: string): string {
  const there = new Set(["paper", ...[...body.matchAll(/ class="([^"]*)"/g)].flatMap(([, at]) => at!.split(" "))]);
  const met = RULES.flatMap(([selectors, declarations]) => {
    const of = selectors
      .split(", ")
      .filter((selector) => [...selector.matchAll(CLASS)].every(([, name]) => there.has(name!)));
    return of.length === 0 ? [] : [{ selector: of.join(","), declarations: declarations.split("; ") }];
  });
  const written = (colours: Colours, of: (declaration: string) => boolean): string =>
    met
      .flatMap(({ selector, declarations }) => {
        const said = declarations.filter(of).map((one) => one.replaceAll(COLOUR, (name) => colours.get(name)!));
        return said.length === 0 ? [] : [`${selector}{${said.join(";").replaceAll(/(?<=[:,]) /g, "")}}`];
      })
      .join("");
  const coloured = (declaration: string): boolean => declaration.includes("--");
  return `${written(IN_LIGHT, () => true)}@media (prefers-color-scheme:dark){${written(IN_DARK, coloured)}}`;
}
