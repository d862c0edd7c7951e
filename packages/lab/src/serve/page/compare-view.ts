/** Two runs side by side: curves over each other, metrics, predictions, configs with what differs marked. */
import { lineChart } from "./chart.ts";
import { h, section, table, type Child } from "./dom.ts";
import { percent, shortNumber } from "./numbers.ts";
import { metricWords, proofList } from "./run-view.ts";
import { ask, emptyTables, follow, points, type LiveTables } from "./state.ts";
import type { Surroundings, View } from "./view.ts";
import type { WireComparison } from "./wire.ts";

export async function compareView(keys: readonly [string, string], { known, connected }: Surroundings): Promise<View> {
  const found = await ask<WireComparison>(`/api/compare/${keys.join("/")}`);
  const names = found.runs.map(({ name }) => name) as [string, string];
  const training = lineChart("training loss");
  const evaluation = lineChart("evaluation loss");
  const scores = known.metrics.map(
    (metric) => [metric.name, lineChart(metric.label, metric.share ? percent : shortNumber)] as const,
  );
  const live = new Map<string, LiveTables>(keys.map((key) => [key, emptyTables()]));

  const draw = (): void => {
    const of = (file: "steps.csv" | "metrics.csv", column: string, marked: boolean) =>
      keys.map((key, k) => ({
        label: names[k]!,
        points: points(live.get(key)![file], column),
        marked,
        noisy: !marked,
      }));
    training.update(of("steps.csv", "loss", false));
    evaluation.update(of("metrics.csv", "eval_loss", true));
    for (const [name, chart] of scores) chart.update(of("metrics.csv", name, true));
  };
  draw();
  const stop = follow(known, keys, {
    connected,
    runs: () => {},
    rows(key, tables) {
      live.set(key, tables);
      draw();
    },
  });
  const element = h(
    "div",
    {},
    h("h1", { tabindex: -1 }, "Comparison"),
    h(
      "p",
      {},
      ...found.runs.flatMap(({ key, name }, k): Child[] => [
        k === 0 ? "" : " and ",
        h("a", { href: `#/run/${key}` }, name),
      ]),
    ),
    section("Metrics", metricsTable(found, names, known.metrics), ...predictionWords(found, names)),
    section(
      "Curves",
      h(
        "div",
        { class: "charts" },
        ...[training, evaluation, ...scores.map(([, chart]) => chart)].map((chart) => chart.element),
      ),
    ),
    section("Configs", ...configTable(found, names)),
    section(
      "Proofs and warnings",
      h(
        "div",
        { class: "pair" },
        ...names.map((name, k) =>
          h(
            "div",
            {},
            h("h3", {}, name),
            ...found.warnings[k]!.map((line) => h("p", { class: "alarm" }, `Warning: ${line}`)),
            proofList(found.proofs[k]!),
          ),
        ),
      ),
    ),
  );
  return { title: `${names[0]} and ${names[1]}`, element, end: stop };
}

function metricsTable(
  { metrics }: WireComparison,
  names: readonly string[],
  known: Surroundings["known"]["metrics"],
): HTMLElement {
  const rows = metrics.map(({ name, a, b, difference }): Child[] => [
    known.find((metric) => metric.name === name)?.label ?? name,
    metricWords(known, name, a),
    metricWords(known, name, b),
    difference === null
      ? "–"
      : `${difference > 0 ? "+" : ""}${metricWords(known, name, difference).replace("%", "points")}`,
  ]);
  return table("Metrics of both runs", ["metric", ...names, "difference"], rows, ["", "num", "num", "num"]);
}

function predictionWords({ predictions }: WireComparison, [a, b]: readonly [string, string]): HTMLElement[] {
  if (predictions === undefined) return [h("p", {}, "One of the runs has no predictions yet.")];
  const { items, different, unmatched, mcnemar } = predictions;
  const share = items === 0 ? "" : ` (${((100 * different) / items).toFixed(2)} %)`;
  const lines = [
    `${different} of ${items} predictions differ${share}.${unmatched > 0 ? ` ${unmatched} items are of one run only.` : ""}`,
    ...(mcnemar === undefined
      ? []
      : [
          `Both right: ${mcnemar.bothRight}; only ${a}: ${mcnemar.onlyFirst}; only ${b}: ${mcnemar.onlySecond}; both wrong: ${mcnemar.bothWrong}. McNemar’s exact p ${shortNumber(mcnemar.p)}, of these items and these two runs.`,
        ]),
  ];
  return lines.map((line) => h("p", {}, line));
}

function configTable({ config }: WireComparison, names: readonly string[]): HTMLElement[] {
  const rows = (same: boolean): Child[][] =>
    config
      .filter((row) => row.same === same)
      .map(({ key, a, b }): Child[] => [
        same ? key : h("span", {}, h("span", { class: "differs", "aria-hidden": "true" }, "≠ "), key),
        a ?? "–",
        b ?? "–",
      ]);
  const [different, equal] = [rows(false), rows(true)];
  const columns = ["key", ...names];
  const classes = ["", "code", "code"];
  return [
    different.length === 0
      ? h("p", {}, "The configs are equal.")
      : table("What differs in the configs", columns, different, classes),
    h(
      "details",
      {},
      h("summary", {}, `${equal.length} equal keys`),
      table("What is equal in the configs", columns, equal, classes),
    ),
  ];
}
