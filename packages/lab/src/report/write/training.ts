/** How the runs came to their results: rates that were tried, losses over steps, ranks that were found. */
import type { Block } from "../document.ts";
import { heatMap } from "../figures/heat.ts";
import { MOST_RUNS, smallChart } from "../figures/lines.ts";
import type { StudyReport, TaskReport } from "../model/report.ts";
import type { SweptConfig } from "../model/rates.ts";
import { correlation, counted, listed, metricScale, NONE, rank, rate } from "../numbers.ts";
import type { Point } from "../run.ts";
import { anchor, onTask } from "./names.ts";

export function sweeps({ sweeps: of }: StudyReport, id: string): Block[] {
  if (of.length === 0) return [];
  const loss = metricScale("loss");
  const points = ({ rates }: SweptConfig): Point[] =>
    rates.flatMap((tried): Point[] => (tried.loss === null ? [] : [[tried.lr, tried.loss]]));
  const all = of.flatMap(points);
  return [
    { kind: "heading", level: 3, text: "How learning rates were chosen", id: anchor(id, "rates") },
    {
      kind: "paragraph",
      text: "Each method is compared at a learning rate of its own: the one with the least loss on rows that are not reported, in runs with a seed that is not reported. Chosen rates are circled.",
    },
    {
      kind: "figures",
      caption: "Loss at the end against the learning rate (logarithmic)",
      figures: of.map((swept, i) => {
        const { config, task, chosen } = swept;
        const at = points(swept).find(([lr]) => lr === chosen);
        const title = `${config}${task === undefined ? "" : ` · ${task}`}`;
        return [
          anchor(id, "rates", i + 1),
          smallChart(
            {
              title,
              description: swept.rates
                .map(({ lr, loss: value }) => `${rate(lr)}: ${value === null ? "went astray" : loss.value(value)}`)
                .join("; "),
              mean: points(swept),
              runs: [],
              dots: true,
              chosen: at === undefined ? [] : [[at, `chosen: ${rate(at[0])}`]],
            },
            { all, x: "learning rate", y: "loss", logX: true, ofX: rate },
          ),
        ] as const;
      }),
    },
    {
      kind: "table",
      caption: "Rates that were tried, and the loss that each came to",
      columns: [
        { title: "config" },
        { title: "seed" },
        { title: "rate: loss" },
        { title: "chosen" },
        { title: "taken over by" },
      ],
      rows: of.map(({ config, task, seeds, rates, chosen, heirs }) => {
        const outer = chosen !== undefined && (chosen === rates[0]!.lr || chosen === rates.at(-1)!.lr);
        return [
          `${config}${task === undefined ? "" : ` · ${task}`}`,
          seeds.join(", "),
          rates
            .map(({ lr, loss: value }) => `${rate(lr)}: ${value === null ? "went astray" : loss.value(value)}`)
            .join("; "),
          chosen === undefined ? NONE : `${rate(chosen)}${outer ? " (the outermost that was tried)" : ""}`,
          heirs.length === 0 ? NONE : listed(heirs),
        ];
      }),
    },
  ];
}

export function training(task: TaskReport, id: string): Block[] {
  return [...curves(task, id), ...ranks(task, id), ...recovery(task)];
}

function curves(task: TaskReport, id: string): Block[] {
  if (task.curves.length === 0) return [];
  const loss = metricScale("loss");
  const all = task.curves.flatMap(({ runs }) => runs.flat());
  return [
    { kind: "heading", level: 3, text: `Training${onTask(task)}`, id: anchor(id, "training") },
    {
      kind: "figures",
      caption: `Loss of training over steps, smoothed: each run in grey (${MOST_RUNS} at most), the mean over seeds in blue. All have the same axes.`,
      figures: task.curves.map(({ config, runs, mean }, i) => [
        anchor(id, "training", i + 1),
        smallChart(
          {
            title: config,
            description: `training loss from ${loss.value(mean[0]?.[1] ?? Number.NaN)} to ${loss.value(mean.at(-1)?.[1] ?? Number.NaN)}, mean of ${counted(runs.length, "run")}`,
            mean,
            runs,
          },
          { all, x: "step", y: "loss" },
        ),
      ]),
    },
  ];
}

function ranks(task: TaskReport, id: string): Block[] {
  if (task.rankMaps.length === 0) return [];
  const most = Math.max(
    ...task.rankMaps.flatMap(({ kinds }) => kinds.flatMap(({ ranks: of }) => of.map((value) => value ?? 0))),
  );
  return [
    { kind: "heading", level: 3, text: `Where the ranks are${onTask(task)}`, id: anchor(id, "ranks") },
    {
      kind: "figures",
      caption:
        "Rank of each part of the model at the end, mean over seeds; the more it has, the more it stands out. Configs with one rank everywhere are left out.",
      figures: task.rankMaps.map(({ config, layers, kinds, runs }, i) => [
        anchor(id, "ranks", i + 1),
        heatMap({
          title: `${config}, mean of ${counted(runs, "run")}`,
          description: kinds.map(({ kind, ranks: of }) => `${kind}${read(of, layers)}`).join("; "),
          columns: layers,
          rows: kinds.map(({ kind, ranks: values }) => ({ label: kind, values })),
          most,
          words: rank,
        }),
      ]),
    },
    {
      kind: "details",
      summary: "The same as tables",
      blocks: task.rankMaps.map(({ config, layers, kinds }) => ({
        kind: "table",
        caption: `Mean ranks of ${config} by layer`,
        columns: [{ title: "module" }, ...layers.map((layer) => ({ title: layer, align: "right" as const }))],
        rows: kinds.map(({ kind, ranks: of }) => [kind, ...of.map((value) => (value === null ? NONE : rank(value)))]),
      })),
    },
  ];
}

/** Ranks of one kind of module; of layers that follow each other, as most do, without naming each. */
function read(ranks: readonly (number | null)[], layers: readonly string[]): string {
  const there = ranks.flatMap((value, c) => (value === null ? [] : [{ layer: layers[c]!, value }]));
  const [first, last] = [there[0]?.layer, there.at(-1)?.layer];
  const values = there.map(({ value }) => rank(value));
  if (there.length > 2 && there.every(({ layer }, i) => Number(layer) === Number(first) + i))
    return ` in layers ${first} to ${last}: ${values.join(", ")}`;
  // a part of the model that is in no layer has none to name
  const places = there.map(({ layer }) => (layer === NONE ? "" : `layer ${layer} `));
  return `: ${values.map((value, i) => `${places[i]}${value}`).join(", ")}`;
}

/** Ranks that were planted, and whether they were found. */
function recovery(task: TaskReport): Block[] {
  if (task.recovery.length === 0) return [];
  return [
    {
      kind: "table",
      caption:
        "How found ranks agree with planted ones: Spearman's correlation over modules, 1 where their order is the same. Who searches decided ranks while training; else they are read off the update.",
      columns: [
        { title: "config" },
        { title: "searched" },
        { title: "n", align: "right" },
        { title: "Spearman, mean", align: "right" },
        { title: "standard deviation", align: "right" },
        { title: "what counts as found" },
      ],
      rows: task.recovery.map(({ config, searched, rule, spearman: { mean, sd, n } }) => [
        config,
        searched ? "yes" : "no",
        String(n),
        correlation(mean),
        sd === null ? NONE : correlation(sd),
        rule,
      ]),
    },
  ];
}
