/** What a study has come to: `results.json`, `results.csv` and, where ranks were planted, `ranks.svg`. */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FinishedRun } from "../store/measures.ts";
import { indistinguishable, resultsCsv, summarize, type SummaryRow, type TwinRuns } from "../store/summary.ts";
import { answers, type Answer } from "./answers.ts";
import type { SweepOutcome } from "./sweeps.ts";
import { rankPicture, summarizeRecovery, type RecoverySummary } from "./rank-picture.ts";

export interface FailedRun {
  readonly name: string;
  readonly config: string;
  readonly seed: number;
  readonly message: string;
  /** Folder with what the run left; absent where it was not begun. */
  readonly kept?: string;
}

export interface StudyOutcome {
  readonly study: string;
  readonly results: readonly FinishedRun[];
  readonly failures: readonly FailedRun[];
  /** Rates that were tried for configs, and chosen. */
  readonly sweeps: readonly SweepOutcome[];
  readonly summary: readonly SummaryRow[];
  /** Configs whose predictions cannot be told apart; identical logits make the study fail. */
  readonly indistinguishable: readonly TwinRuns[];
  /** How well planted ranks were found, by config; empty where none were planted. */
  readonly rankRecovery: readonly RecoverySummary[];
  /** What the results say about the questions that the configs pose. */
  readonly answers: readonly Answer[];
}

/** What a command came to, which may be a part of what the study's files hold. */
export interface StudyReport extends StudyOutcome {
  /** Where a part was asked for: runs whose results are in the files. */
  readonly inFiles?: number;
}

/** What the results say together. */
export function outcomeFrom({
  study,
  results,
  failures,
  sweeps,
}: Pick<StudyOutcome, "study" | "results" | "failures" | "sweeps">): StudyOutcome {
  const rankRecovery = summarizeRecovery(results);
  return {
    study,
    results,
    failures,
    sweeps,
    summary: summarize(results),
    indistinguishable: indistinguishable(results),
    rankRecovery,
    answers: answers(results, rankRecovery),
  };
}

/** Writes the files anew. */
export function publishOutcome(out: string, outcome: StudyOutcome): void {
  const { results } = outcome;
  mkdirSync(out, { recursive: true });
  replace(join(out, "results.json"), `${JSON.stringify(outcome, null, 2)}\n`);
  replace(join(out, "results.csv"), resultsCsv(results));
  if (outcome.rankRecovery.length > 0) replace(join(out, "ranks.svg"), rankPicture(outcome.rankRecovery));
}

/** Readers see the old file or the new one, never half of either. */
function replace(path: string, content: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, content);
  renameSync(temporary, path);
}
