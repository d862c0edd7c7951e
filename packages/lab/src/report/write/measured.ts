/** Figures that were measured beside the runs, of every config: what claims compare may be one config's doing. */
import { mean } from "../../statistics/descriptive.ts";
import type { Measured, MeasuredFigure } from "../../store/measured.ts";
import type { Block } from "../document.ts";
import { change, counted, NONE, shortCode } from "../numbers.ts";
import { right, whole } from "./columns.ts";
import { anchor } from "./names.ts";
import { figureWords } from "./verdict-words.ts";

export function measurements(measured: readonly Measured[]): Block[] {
  return measured.flatMap((file, i) => of(file, anchor("measured", measured.length > 1 ? i + 1 : undefined)));
}

function of({ what, host, code, figures }: Measured, id: string): Block[] {
  const configs = [...new Set(figures.flatMap(({ values }) => Object.keys(values)))];
  const [first] = configs;
  return [
    { kind: "heading", level: 2, text: "Measured apart from the runs", id },
    { kind: "paragraph", text: `At ${what}. On ${host}, by code ${shortCode(code)}.` },
    { kind: "list", items: figures.map(({ label, definition }) => [label, `${definition}.`] as const) },
    {
      kind: "table",
      caption: `Means over rounds, and the change from ${first}'s`,
      columns: [whole("config"), ...figures.map(({ label }) => right(label))],
      rows: configs.map((config) => [config, ...figures.map((figure) => cell(figure, config, first!))]),
    },
  ];
}

/** `13.956 s (+2.8 %), 5 rounds`. */
function cell(figure: MeasuredFigure, config: string, first: string): string {
  const [values, others] = [figure.values[config], figure.values[first]];
  if (values === undefined) return NONE;
  const from = config === first || others === undefined ? "" : ` (${change(mean(values) / mean(others) - 1)})`;
  const rounds = figure.exact ? "" : `, ${counted(values.length, "round")}`;
  return `${figureWords(figure, mean(values))}${from}${rounds}`;
}
