/** Results of a task: the headline table, and beside it the original study's. */
import type { Block } from "../document.ts";
import type { TaskReport } from "../model/report.ts";
import { seedKey } from "../model/scores.ts";
import type { SeedSpread } from "../model/spread.ts";
import { bytes, countRange, counted, gigabytes, metricScale, NONE, runTime } from "../numbers.ts";
import { formatCount } from "../../text/format.ts";
import { right, whole } from "./columns.ts";
import { costFigures, costs } from "./costs.ts";
import { differences } from "./differences.ts";
import { anchor, onTask } from "./names.ts";

export function results(task: TaskReport, id: string): Block[] {
  return [
    { kind: "heading", level: 3, text: `Results${onTask(task)}`, id: anchor(id, "results") },
    headline(task),
    ...original(task),
    costs(task),
    ...differences(task, id),
    ...costFigures(task, id),
  ];
}

const BEFORE =
  "Before is the same evaluation ahead of the first step: what was adapted, as it is kept, without what was learnt. Where a head was drawn from the seed it is that head's, and says nothing of the base.";

/** Whether configs have other seeds than others: then a mean may be higher for its seeds' sake. */
function unlike(scores: TaskReport["scores"]): boolean {
  return new Set(scores.map(seedKey)).size > 1;
}

const UNLIKE =
  " Not all have the same seeds (n), and means over different seeds are of different things: who is ahead of whom is told by differences seed by seed, below.";

function headline({ scores, items, metric, scored }: TaskReport): Block {
  const names = Object.keys(scores[0]!.metrics);
  const started = scores.some(({ start }) => start !== undefined);
  return {
    kind: "table",
    caption: `Mean over seeds ± half of its 95 % t interval (none below three seeds), of ${counted(items, "evaluated item")}. The first metric, ${metricScale(metric).label}, is what is compared.${scored === undefined ? "" : ` ${scored}`}${unlike(scores) ? UNLIKE : ""}${started ? ` ${BEFORE}` : ""}`,
    columns: [
      whole("config"),
      { title: "what is on" },
      right("n"),
      ...(started ? [right(`before: ${metricScale(metric).axis}`)] : []),
      ...names.map((name) => right(metricScale(name).axis)),
      right("trained numbers"),
      right("sum of ranks"),
    ],
    rows: scores.map((score) => [
      score.config,
      score.about,
      String(score.seeds.length),
      ...(started ? [score.start === undefined ? NONE : scaled(score.start, metric)] : []),
      ...names.map((name) => (score.metrics[name] === undefined ? NONE : scaled(score.metrics[name], name))),
      countRange(score.trainable),
      score.ranks === undefined ? NONE : countRange(score.ranks),
    ]),
  };
}

function original({ original: rows, scores, metric }: TaskReport): Block[] {
  if (rows.length === 0) return [];
  const scale = metricScale(metric);
  return [
    {
      kind: "table",
      caption: `Beside the table of the original study (January 2025, BERT-base-uncased in Python, one run each). Levels depend on the base and on how long it is trained: what can be compared is who is ahead of whom.${unlike(scores) ? UNLIKE : ""}`,
      columns: [
        whole("config"),
        { title: "original: what was on" },
        right("original accuracy, %"),
        right(`here ${scale.axis}`),
        right("original trained"),
        right("here trained"),
        right("original memory"),
        right("here planned memory"),
        right("original time"),
        right("here time"),
      ],
      rows: rows.flatMap((row) => {
        const score = scores.find(({ config }) => config === row.config);
        if (score === undefined) return [];
        return [
          [
            row.config,
            row.about,
            metricScale("accuracy").bare(row.accuracy),
            scaled(score.metrics[metric]!, metric),
            formatCount(row.trainable),
            countRange(score.trainable),
            gigabytes(row.memoryBytes),
            bytes(score.planned[1]),
            runTime(60 * row.minutes),
            runTime(score.seconds.mean),
          ],
        ];
      }),
    },
  ];
}

function scaled({ mean, interval95 }: SeedSpread, metric: string): string {
  return metricScale(metric).spread(mean, interval95);
}
