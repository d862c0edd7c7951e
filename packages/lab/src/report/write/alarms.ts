/** What keeps a report from being believed, or from being whole. */
import type { MissingRuns } from "../model/missing.ts";
import type { StudyReport } from "../model/report.ts";
import { counted, listed } from "../numbers.ts";

/** What nobody should overlook, a sentence each. */
export function alarms(studies: readonly StudyReport[]): string[] {
  return studies.flatMap(({ study, proofs, twins, tasks, diverged, missing, warnings }) => {
    const failing = proofs.filter(({ fails }) => fails.length > 0);
    const identical = twins.filter(({ identical: what }) => what === "logits");
    const mixed = tasks.flatMap(({ settings }) => settings.mixed);
    return [
      ...failing.map(
        ({ name, fails }) =>
          `${study}: the proof ${name} does not hold in ${listed(fails.slice(0, 3))}${fails.length > 3 ? " and others" : ""}; do not believe these results.`,
      ),
      ...identical.map(
        ({ configs, seed }) =>
          `${study}: ${listed(configs)} cannot be told apart with seed ${seed} (byte-identical predictions): a switch of one of them did nothing.`,
      ),
      ...mixed.map(
        ({ config, key }) =>
          `${study}: runs of ${config} were not all made with one setting of ${key}; their mean is of different things.`,
      ),
      ...diverged.map(({ config, seed, why }) => `${study}: ${config} with seed ${seed} has no result: ${why}.`),
      ...(missing === undefined || missing.missing.length === 0
        ? []
        : [
            `${study} is not complete: of ${counted(missing.planned, "planned run")}, ${areMissing(missing)} missing (${listed(missing.missing.slice(0, 4).map(({ config, seeds }) => `${config} with seed ${seeds.join(", ")}`))}${missing.missing.length > 4 ? " and more" : ""}).`,
          ]),
      ...(warnings.length === 0
        ? []
        : [
            `${study}: ${counted(new Set(warnings.map(({ run }) => run)).size, "run")} warned of what was learnt, for instance ${warnings[0]!.run}: ${warnings[0]!.line}.`,
          ]),
    ];
  });
}

function areMissing({ missing }: MissingRuns): string {
  const count = missing.reduce((sum, { seeds }) => sum + seeds.length, 0);
  return `${count} ${count === 1 ? "is" : "are"}`;
}
