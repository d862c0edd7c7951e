/** What runs proved of themselves: how many of each kind, and which do not hold. */
import { grouped } from "../grouped.ts";
import type { ReportRun } from "../run.ts";

export interface ProofCount {
  readonly name: string;
  readonly runs: number;
  readonly holds: number;
  /** Runs where it does not. */
  readonly fails: readonly string[];
}

export function proofCounts(runs: readonly ReportRun[]): ProofCount[] {
  const proofs = runs.flatMap((run) => run.proofs.map((proof) => ({ ...proof, run: run.name })));
  return [...grouped(proofs, ({ name }) => name)].map(([name, of]) => ({
    name,
    runs: of.length,
    holds: of.filter(({ holds }) => holds).length,
    fails: of.filter(({ holds }) => !holds).map(({ run }) => run),
  }));
}
