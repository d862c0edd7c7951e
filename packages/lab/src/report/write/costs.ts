/** What results cost: parameters, memory, time. */
import { tickWords } from "../../serve/page/numbers.ts";
import type { Block } from "../document.ts";
import { scatter, type ScatterPoint } from "../figures/scatter.ts";
import type { TaskReport } from "../model/report.ts";
import type { ConfigScore } from "../model/scores.ts";
import { bytes, bytesRange, countRange, metricScale, runTime, shortCount, stepTime } from "../numbers.ts";
import { right, whole } from "./columns.ts";
import { anchor, onTask } from "./names.ts";

export function costs({ scores }: TaskReport): Block {
  return {
    kind: "details",
    summary: "What each config cost: parameters, memory by what it holds, time",
    blocks: [
      {
        kind: "paragraph",
        role: "note",
        text: "Planned memory is what the device holds at its peak, computed before the first step. Peak memory is of the whole process, so of this run and of those that the process made before. Times are of runs that may have had other work beside them: claims about time are decided by measurements of their own.",
      },
      {
        kind: "table",
        caption: "Costs by config",
        columns: [
          whole("config"),
          right("effective parameters"),
          right("of all, %"),
          right("planned memory"),
          right("frozen weights"),
          right("trained weights"),
          right("optimizer"),
          right("activations, gradients"),
          right("peak memory"),
          right("step"),
          right("run"),
        ],
        rows: scores.map((score) => [
          score.config,
          countRange(score.effective),
          metricScale("accuracy").bare(score.effective[1] / score.total),
          bytesRange(score.planned),
          bytes(score.split.frozenWeights),
          bytes(score.split.trainableWeights),
          bytes(score.split.optimizerState),
          bytes(score.split.activationsAndGradients),
          bytesRange(score.resident),
          stepTime(score.secondsPerStep.mean),
          runTime(score.seconds.mean),
        ]),
      },
    ],
  };
}

export function costFigures(task: TaskReport, id: string): Block[] {
  if (task.scores.length < 2) return [];
  const { label } = metricScale(task.metric);
  return [
    costFigure(task, id, {
      name: "parameters",
      axis: "trained parameters",
      of: ({ trainable }) => trainable[1],
      said: (count) => countRange([count, count]),
      mark: shortCount,
      caption: `What ${label} costs in trained parameters (logarithmic). Lines are 95 % intervals of the mean.`,
    }),
    costFigure(task, id, {
      name: "memory",
      axis: "planned memory, MiB",
      of: ({ planned }) => planned[1] / 2 ** 20,
      said: (mebibytes) => bytes(mebibytes * 2 ** 20),
      mark: tickWords,
      caption: `What ${label} costs in planned memory (logarithmic): weights, optimizer, gradients and activations of one step.`,
    }),
  ];
}

interface Cost {
  readonly name: string;
  readonly axis: string;
  readonly of: (score: ConfigScore) => number;
  readonly said: (value: number) => string;
  readonly mark: (value: number) => string;
  readonly caption: string;
}

function costFigure(task: TaskReport, id: string, { name, axis, of, said, mark, caption }: Cost): Block {
  const scale = metricScale(task.metric);
  const told = task.scores.filter(({ metrics }) => Number.isFinite(metrics[task.metric]!.mean));
  const points = told.map((score): ScatterPoint => {
    const { mean, interval95 } = score.metrics[task.metric]!;
    return {
      label: score.config,
      x: of(score),
      y: scale.plain(mean),
      interval: interval95 && [scale.plain(interval95[0]), scale.plain(interval95[1])],
      words: `${score.config}: ${scale.label} ${scale.value(mean)} at ${said(of(score))}`,
    };
  });
  const title = `${scale.label} against ${axis.split(",")[0]!}${onTask(task)}`;
  return {
    kind: "figure",
    name: anchor(id, name),
    drawing: scatter(points, { title, x: axis, y: scale.axis, ofX: mark }),
    caption,
  };
}
