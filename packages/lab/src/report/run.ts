/** What a report is made of: one finished run, wherever it was kept. */
import type { FinishedRun } from "../store/measures.ts";

/** Step and loss. */
export type Point = readonly [number, number];

export interface ReportRun extends FinishedRun {
  /** Content hash of the code that computed it. */
  readonly code: string;
  /** Commit that the code was checked out from, unchanged; null where that is not known. */
  readonly commit: string | null;
  /** Loss of training over steps, smoothed and thinned; empty where it was not kept. */
  readonly curve: readonly Point[];
  /** Undefined where items have no one right decision, or decisions were not kept. */
  judged(): Judged | undefined;
}

/** The items of an evaluation. */
export interface Judged {
  /** What is right of each, as JSON, a comma between. */
  readonly labels: string;
  /** For each `1` where its decision was right, else `0`. */
  readonly right: string;
}

/** A run that met a number that is not finite, which is what came of it. */
export interface DivergedRun {
  readonly study: string;
  /** In a study of several tasks, where that is known. */
  readonly task?: string | undefined;
  readonly config: string;
  readonly seed: number;
  /** Content hash of the code that computed it, and on what, where that is known. */
  readonly code?: string | undefined;
  readonly device?: string | undefined;
  readonly why: string;
}

/** All that was found in one place. */
export interface FoundRuns {
  readonly runs: readonly ReportRun[];
  readonly diverged: readonly DivergedRun[];
  /** What was left out, and why: a line each. */
  readonly notes: readonly string[];
}

/** `b-fp@0.003` tries a rate for `b-fp`; names that people give have no such sign. */
export function triedFor(config: string): { readonly config: string; readonly lr: number } | undefined {
  const [of, lr] = config.split("@");
  return lr === undefined ? undefined : { config: of!, lr: Number(lr) };
}
