/** What `lowrank run` says of a study in the end, and what its exit code is. */
import { join } from "node:path";
import { printable } from "@lowrank/tensor";
import { summaryTable } from "../store/summary.ts";
import { answerLines } from "../study/answers.ts";
import type { StudyReport } from "../study/outcome.ts";
import { sweepLines } from "../study/sweeps.ts";
import { nextSteps } from "./next-steps.ts";
import { EXIT_FAILED, EXIT_OK } from "./outcome.ts";
import type { RunOptions } from "./run-options.ts";

export interface Places {
  /** Folder of the study, and that of its runs. */
  readonly out: string;
  readonly runs: string;
  /** Of lines of finished runs. */
  readonly results: string | undefined;
}

/** The table and what follows from it; where JSON is asked for, it is printed by who knows of all studies. */
export function tell(outcome: StudyReport, { out, runs, results }: Places, { json, quiet }: RunOptions): number {
  const twins = outcome.indistinguishable.map(({ seed, configs, identical }) =>
    identical === "logits"
      ? `configurations indistinguishable: ${configs.join(" and ")} made byte-identical predictions with seed ${seed}; a switch of one of them did nothing`
      : `note: ${configs.join(" and ")} made the same decisions with seed ${seed}, with different logits`,
  );
  for (const line of twins) process.stderr.write(`${line}\n`);
  if (json !== true) {
    if (outcome.summary.length > 0) process.stdout.write(`${summaryTable(outcome.summary)}\n`);
    const lines = [
      ...(outcome.sweeps.length > 0 ? ["", ...sweepLines(outcome.sweeps)] : []),
      ...(outcome.answers.length > 0 ? ["", ...answerLines(outcome.answers), ""] : []),
      ...(outcome.rankRecovery.length > 0
        ? [`picture: ${join(out, "ranks.svg")} (planted and found rank of every module)`]
        : []),
      `results: ${join(out, "results.json")}, ${join(out, "results.csv")}; runs: ${runs}${results === undefined ? "" : `; lines: ${results}`}`,
      ...(outcome.inFiles === undefined ? [] : [heldWords(outcome.inFiles, outcome.results.length)]),
      ...nextSteps(outcome.study),
    ];
    process.stdout.write(`${lines.join("\n")}\n`);
  }
  // Without --quiet each failure has had its line when it happened.
  if (quiet === true)
    for (const failure of outcome.failures)
      process.stderr.write(`lowrank: run ${failure.name} failed: ${printable(failure.message)}\n`);
  const identical = outcome.indistinguishable.some((pair) => pair.identical === "logits");
  return outcome.failures.length > 0 || identical ? EXIT_FAILED : EXIT_OK;
}

/** What is in the study's files, where the table is of a part. */
function heldWords(held: number, told: number): string {
  return `results.json and results.csv hold ${held} run${held === 1 ? "" : "s"} of the study: ${told} of this part, ${held - told} beside it`;
}
