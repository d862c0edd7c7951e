/** Runs of a folder of result lines, as `lowrank run --results` keeps them. */
import { finishedOf, type Decisions, type FinishedLine } from "../../store/result-line.ts";
import { readResultLines } from "../../store/result-lines.ts";
import type { FoundRuns, Judged, ReportRun } from "../run.ts";

/** @throws InputError naming file and number of a line that is not what was written */
export function lineRuns(folder: string): FoundRuns {
  const lines = readResultLines(folder).map(({ line }) => line);
  return {
    runs: lines.flatMap((line) => (line.outcome === "finished" ? [runOfLine(line)] : [])),
    diverged: lines.flatMap((line) =>
      line.outcome === "diverged"
        ? [
            {
              study: line.study,
              task: line.resolved.taskLabel,
              config: line.run.config,
              seed: line.run.seed,
              code: line.code,
              device: line.run.device,
              why: line.message,
            },
          ]
        : [],
    ),
    notes: [],
  };
}

function runOfLine(line: FinishedLine): ReportRun {
  return {
    ...finishedOf(line),
    code: line.code,
    commit: line.commit,
    curve: line.losses.map(({ step, loss }) => [step, loss]),
    judged: () => (line.decisions === null ? undefined : judgedOf(line.decisions)),
  };
}

function judgedOf({ predicted, labels }: Decisions): Judged {
  return { labels: labels.join(), right: predicted.map((said, i) => (said === labels[i] ? "1" : "0")).join("") };
}
