/** One run: what it has come to, its curves as they grow, ranks over time, proofs, config, files. */
import { lineChart, type Chart } from "./chart.ts";
import { h, section, table, type Child } from "./dom.ts";
import { heatMap } from "./heat-map.ts";
import { bytes, duration, factWords, percent, share, shortNumber } from "./numbers.ts";
import { ask, follow, points, type LiveTable, type LiveTables } from "./state.ts";
import { hasNewMetric, MARKS, type Surroundings, type View } from "./view.ts";
import type { WireDetail, WireMetric, WireProof, WireRun } from "./wire.ts";

/** Columns of `steps.csv`, a chart each. */
const CURVES: readonly (readonly [string, string, ((value: number) => string)?])[] = [
  ["grad_norm", "gradient norm"],
  ["lr", "learning rate"],
  ["budget", "rank budget"],
  ["loss_scale", "loss scale"],
  ["tokens_per_second", "tokens/s"],
  ["gflops", "GFLOP/s"],
  ["seconds", "time of a step after the first", duration],
  ["rss_bytes", "memory of the process", bytes],
];
/** What differs from batch to batch, or by what else the machine does. */
const NOISY: ReadonlySet<string> = new Set(["grad_norm", "tokens_per_second", "gflops", "seconds"]);
/** `ranks.csv` has step, budget and kept before the modules. */
const FIRST_MODULE = 3;

export async function runView(key: string, { known, connected, again }: Surroundings): Promise<View> {
  let detail = await ask<WireDetail>(`/api/run/${key}`);
  const loss = lineChart("loss");
  const scores = known.metrics.map(
    (metric) => [metric, lineChart(metric.label, metric.share ? percent : shortNumber)] as const,
  );
  const curves = CURVES.map(([column, title, words]) => ({ column, title, chart: lineChart(title, words) }));
  const charts: readonly Chart[] = [loss, ...scores.map(([, chart]) => chart), ...curves.map(({ chart }) => chart)];
  const note = h("p", { class: "note" });
  const ranks = h("div");
  const head = h("div");
  const rest = h("div");
  const curvesSection = section("Curves", note, h("div", { class: "charts" }, ...charts.map(({ element }) => element)));
  const ranksSection = section("Ranks", ranks);
  const element = h("div", {}, head, curvesSection, ranksSection, rest);

  const drawFacts = (): void => {
    head.replaceChildren(...summary(detail));
    rest.replaceChildren(...details(detail));
  };
  const drawRows = (tables: LiveTables): void => {
    const [steps, evaluations] = [tables["steps.csv"], tables["metrics.csv"]];
    const train = points(steps, "loss");
    loss.update([
      { label: "training", points: train.length > 0 ? train : points(evaluations, "train_loss"), noisy: true },
      { label: "evaluation", points: points(evaluations, "eval_loss"), marked: true },
    ]);
    for (const [{ name, label }, chart] of scores)
      chart.update([{ label, points: points(evaluations, name), marked: true }]);
    for (const { column, title, chart } of curves) {
      const all = points(steps, column);
      // the first step traces and compiles, and would hide the others
      const shown = column === "seconds" && all.length > 1 ? all.slice(1) : all;
      chart.update([{ label: title, points: shown, noisy: NOISY.has(column) }]);
    }
    const rows = steps.rows.length + evaluations.rows.length;
    const all = steps.every > 1 ? `Every ${steps.every}th of the steps so far is drawn. ` : "";
    note.textContent =
      rows === 0
        ? "Nothing has been written yet."
        : `${all}Of many steps each is drawn faintly, and their running mean in full.`;
  };
  const drawRanks = (live: LiveTable): void => {
    const modules = live.columns.slice(FIRST_MODULE);
    const choices = live.rows.map((row) => ({ step: row[0] ?? 0, ranks: row.slice(FIRST_MODULE) }));
    const fixed = detail.modules.filter(({ rank }) => rank !== null);
    ranksSection.hidden = choices.length === 0 && fixed.length === 0;
    ranks.replaceChildren(
      choices.length > 0
        ? heatMap({ modules, choices })
        : h(
            "details",
            {},
            h("summary", {}, `${fixed.length} modules, ranks are fixed`),
            table(
              "Ranks",
              ["module", "rank"],
              fixed.map(({ module, rank }): Child[] => [module, String(rank)]),
              ["", "num"],
            ),
          ),
    );
  };

  drawFacts();
  for (const chart of charts) chart.update([]);
  drawRanks({ columns: [], rows: [], every: 1 });
  const stop = follow(known, [key], {
    connected,
    runs(changed) {
      if (hasNewMetric(known, changed)) return again();
      if (!changed.includes(key)) return;
      const run = known.runs.get(key);
      // what changes with every step is in its line; the rest when it is done
      if (run !== undefined && run.state === detail.run.state) {
        detail = { ...detail, run };
        head.replaceChildren(...summary(detail));
      } else
        void ask<WireDetail>(`/api/run/${key}`).then(
          (fresh) => {
            detail = fresh;
            drawFacts();
          },
          () => connected(false),
        );
    },
    rows(_, tables, file) {
      if (file === "ranks.csv") drawRanks(tables[file]);
      else drawRows(tables);
    },
  });
  return { title: detail.run.name, element, end: stop };
}

function summary({ run, facts, warnings, proofs }: WireDetail): Node[] {
  const failing = proofs.filter(({ holds }) => !holds).length;
  return [
    h("h1", { tabindex: -1 }, run.name),
    h(
      "p",
      { class: `state is-${run.state}` },
      h("strong", {}, `${MARKS[run.state] ?? ""} ${run.state}`),
      ` ${stateWords(run)}`,
    ),
    ...(run.why === undefined ? [] : [h("p", { class: "alarm", role: "note" }, run.why)]),
    ...warnings.map((line) => h("p", { class: "alarm", role: "note" }, `Warning: ${line}`)),
    ...(failing === 0
      ? []
      : [h("p", { class: "alarm", role: "note" }, `${failing} of ${proofs.length} proofs do not hold.`)]),
    h(
      "dl",
      { class: "facts" },
      ...facts.map((fact) => h("div", {}, h("dt", {}, fact.label), h("dd", {}, factWords(fact)))),
    ),
  ];
}

function stateWords({ step, steps, holder, config, method, task, seed }: WireRun): string {
  const parts = [
    step === undefined
      ? undefined
      : steps === undefined || steps === step
        ? `${step} steps`
        : `step ${step} of ${steps}`,
    config === undefined ? undefined : `config ${config}`,
    method,
    task,
    seed === undefined ? undefined : `seed ${seed}`,
    holder === undefined ? undefined : `process ${holder.pid} on ${holder.host}`,
  ];
  return parts.filter((part) => part !== undefined).join(" · ");
}

function details({ proofs, config, files }: WireDetail): HTMLElement[] {
  return [
    ...(proofs.length === 0 ? [] : [section("Proofs", proofList(proofs))]),
    section(
      "Config",
      table(
        "Resolved config",
        ["key", "value"],
        config.map(([key, value]): Child[] => [key, value]),
        ["", "code"],
      ),
    ),
    section(
      "Files",
      table(
        "Files of the run",
        ["file", "size"],
        files.map(({ file, bytes: size }): Child[] => [file, bytes(size)]),
        ["", "num"],
      ),
    ),
  ];
}

export function proofList(proofs: readonly WireProof[]): HTMLElement {
  return h(
    "ul",
    { class: "proofs" },
    ...proofs.map(({ name, holds, detail }) =>
      h(
        "li",
        { class: holds ? "holds" : "fails" },
        h("strong", {}, `${holds ? "✓ holds" : "✕ fails"}`),
        ` ${name} `,
        h("span", { class: "why" }, detail),
      ),
    ),
  );
}

export function metricWords(metrics: readonly WireMetric[], name: string, value: number | null): string {
  if (value === null) return "–";
  return metrics.find((metric) => metric.name === name)?.share === true ? `${share(value)} %` : shortNumber(value);
}
