/** Names of places in a report, and of its files. */
import type { StudyReport, TaskReport } from "../model/report.ts";
import { shortCode } from "../numbers.ts";

/** `sst2-1-claim-2`. */
export function anchor(...parts: readonly (string | number | undefined)[]): string {
  return parts
    .filter((part) => part !== undefined && part !== "")
    .join("-")
    .replaceAll(/[^A-Za-z0-9_-]+/g, "-");
}

/** Of a study's part of the report; the place tells two groups of one study apart. */
export function studyId({ study }: StudyReport, place: number): string {
  return anchor(study, place === 0 ? undefined : place + 1);
}

/** `small (code c0dec0dec0de)`, as the words call it. */
export function studyName({ study, code }: StudyReport): string {
  return `${study} (code ${shortCode(code)})`;
}

/** ` in small (code c0dec0dec0de)`, where the report has several. */
export function inStudy(study: StudyReport, studies: readonly StudyReport[]): string {
  return studies.length > 1 ? ` in ${studyName(study)}` : "";
}

/** `on easy`, where the study has several tasks. */
export function onTask({ label }: Pick<TaskReport, "label">): string {
  return label === undefined ? "" : ` on ${label}`;
}
