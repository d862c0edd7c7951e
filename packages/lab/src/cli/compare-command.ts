/** `lowrank compare`: two runs side by side. */
import { join } from "node:path";
import { printable } from "@lowrank/tensor/check";
import { InputError } from "../errors.ts";
import { metricNamed, metricScale } from "../metrics/of-evaluation.ts";
import { compareRuns, type RunComparison } from "../store/compare-runs.ts";
import type { PredictionComparison } from "../store/predictions.ts";
import { readRun, type RunDetail } from "../store/read-run.ts";
import { renderColumns } from "../text/columns.ts";
import { formatNumber } from "../text/format.ts";
import { cut } from "../text/shown.ts";
import { runNamed, storesAt } from "./found-runs.ts";
import { EXIT_OK } from "./outcome.ts";

export interface CompareOptions {
  readonly out: string;
  readonly all?: boolean;
  readonly json?: boolean;
}

export async function compareCommand(run: string, other: string, options: CompareOptions): Promise<number> {
  const stores = storesAt(options.out);
  const [a, b] = [run, other].map((said) => {
    const { store, folder } = runNamed(stores, said);
    return { folder: join(store.folder, folder), detail: readRun(store.folder, folder) };
  }) as [Parameters<typeof compareRuns>[0], Parameters<typeof compareRuns>[1]];
  if (a.folder === b.folder) throw new InputError(`${cut(run)} and ${cut(other)} are the same run; give two`);
  const comparison = await compareRuns(a, b);
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify({ runs: [a.detail.entry, b.detail.entry], ...comparison }, null, 2)}\n`
      : `${text([a.detail, b.detail], comparison, options.all === true)}\n`,
  );
  return EXIT_OK;
}

const WHOLE = /^-?\d+$/;

function text(runs: readonly [RunDetail, RunDetail], comparison: RunComparison, all: boolean): string {
  const [a, b] = runs.map(({ entry }) => printable(entry.name)) as [string, string];
  const config = comparison.config.filter(({ same }) => all || !same);
  const equal = comparison.config.length - comparison.config.filter(({ same }) => !same).length;
  const rows = config.map((row) => [
    printable(`${all && !row.same ? "≠ " : all ? "  " : ""}${row.key}`),
    printable(cut(row.a ?? "–")),
    printable(cut(row.b ?? "–")),
  ]);
  const metrics = comparison.metrics.map(({ name, a: x, b: y, difference }) => {
    const { label, unit } = metricNamed(name);
    const shown = (value: number | null, sign: boolean): string => {
      if (value === null) return "–";
      const scaled = metricScale(name) * value;
      const words =
        WHOLE.test(String(scaled)) && name === "steps"
          ? String(scaled)
          : formatNumber(scaled, unit === "share" ? 2 : 4);
      return sign && scaled > 0 ? `+${words}` : words;
    };
    return [
      printable(`${label}${unit === "share" ? " %" : ""}`),
      shown(x, false),
      shown(y, false),
      shown(difference, true),
    ];
  });
  return [
    rows.length === 0
      ? "The configs are equal."
      : renderColumns([{ title: "config" }, { title: a }, { title: b }], rows),
    ...(all || equal === 0 ? [] : [`  (${equal} equal key${equal === 1 ? "" : "s"} not shown; --all shows them)`]),
    "",
    renderColumns(
      [
        { title: "metric" },
        { title: a, align: "right" },
        { title: b, align: "right" },
        { title: "difference", align: "right" },
      ],
      metrics,
    ),
    "",
    predictionsText(comparison.predictions),
  ].join("\n");
}

function predictionsText(found: PredictionComparison | undefined): string {
  if (found === undefined) return "predictions: one of the runs has none yet";
  const { items, unmatched, different, mcnemar } = found;
  const share = items === 0 ? "" : ` (${((100 * different) / items).toFixed(2)} %)`;
  return [
    `predictions: ${different} of ${items} differ${share}${unmatched === 0 ? "" : `; ${unmatched} items are of one run only`}`,
    ...(mcnemar === undefined
      ? []
      : [
          `  both right ${mcnemar.bothRight}, only the first ${mcnemar.onlyFirst}, only the second ${mcnemar.onlySecond}, both wrong ${mcnemar.bothWrong}; McNemar's exact p ${mcnemar.p.toPrecision(3)}`,
        ]),
  ].join("\n");
}
