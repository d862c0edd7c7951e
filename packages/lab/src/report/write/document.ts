/** The report as a document: the first screen, then each study. */
import type { Block, ReportDocument } from "../document.ts";
import type { Report } from "../model/report.ts";
import { counted, listed, shortCode } from "../numbers.ts";
import { claims } from "./claims.ts";
import { anchor, studyId } from "./names.ts";
import { record } from "./record.ts";
import { measurements } from "./measured.ts";
import { results } from "./results.ts";
import { summary } from "./summary.ts";
import { sweeps, training } from "./training.ts";

/** A title has room for so many studies. */
const MOST_NAMED = 2;

/** @param command what makes it again */
export function documentOf(report: Report, command: string): ReportDocument {
  const names = [...new Set(report.studies.map(({ study }) => study))];
  const runs = report.studies.reduce((sum, study) => sum + study.runs.length, 0);
  return {
    title: `What ${names.length > MOST_NAMED ? `${counted(runs, "run")} of ${names.length} studies` : `the runs of ${listed(names)}`} say`,
    blocks: [
      ...summary(report),
      ...report.studies.flatMap((study, place): Block[] => {
        const id = studyId(study, place);
        const several = report.studies.length > 1;
        return [
          {
            kind: "heading",
            level: 2,
            text: several ? `${study.study}, code ${shortCode(study.code)}, ${study.device}` : "The numbers",
            id,
          },
          ...study.tasks.flatMap((task) => results(task, anchor(id, task.label))),
          ...claims(study, id),
          ...sweeps(study, id),
          ...study.tasks.flatMap((task) => training(task, anchor(id, task.label))),
          ...record(study, id),
        ];
      }),
      ...measurements(report.measured),
      { kind: "paragraph", role: "note", text: `Made by: ${command}` },
    ],
  };
}
