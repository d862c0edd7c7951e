/** The report as a document: the first screen, then each study. */
import type { Block, ReportDocument } from "../document.ts";
import { shortCode, type Report } from "../model/report.ts";
import { listed } from "../numbers.ts";
import { claims } from "./claims.ts";
import { anchor, studyId } from "./names.ts";
import { record } from "./record.ts";
import { results } from "./results.ts";
import { summary } from "./summary.ts";
import { sweeps, training } from "./training.ts";

/** @param command what makes it again */
export function documentOf(report: Report, command: string): ReportDocument {
  const names = [...new Set(report.studies.map(({ study }) => study))];
  return {
    title: `What the runs of ${listed(names)} say`,
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
      { kind: "paragraph", role: "note", text: `Made by: ${command}` },
    ],
  };
}
