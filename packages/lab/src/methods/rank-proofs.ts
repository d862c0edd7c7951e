/** Proofs of every method: that ranks were allocated where the config says so, and that the objective held what it should. */
import type { TrainedFacts } from "../records/method.ts";
import type { Proof } from "../store/result.ts";

/** What a config switches on. */
export interface RankSwitches {
  /** The method's name, for the detail. */
  readonly method: string;
  readonly allocates: boolean;
  readonly regularizes: boolean;
}

export function rankProofs(switches: RankSwitches, trained: TrainedFacts): Proof[] {
  return [allocationProof(switches, trained), objectiveProof(switches, trained)];
}

/** The allocator ran once per optimizer step and ended with exactly its budget. Fixed ranks have no record. */
export function allocationProof(
  { method, allocates }: Pick<RankSwitches, "method" | "allocates">,
  { allocation: record, steps }: Pick<TrainedFacts, "allocation" | "steps">,
): Proof {
  if (record === undefined)
    return { name: "rank-allocation", holds: !allocates, detail: { allocator: "none", method } };
  const falls = record.budgets.every((b, i) => i === 0 || b <= record.budgets[i - 1]!);
  const enforced =
    record.compat === "strict" ? record.kept === record.targetBudget : record.kept <= record.targetBudget;
  return {
    name: "rank-allocation",
    holds: allocates && record.calls === steps && record.finalizedAt !== null && enforced && falls,
    detail: {
      calls: record.calls,
      steps,
      kept: record.kept,
      budget: record.targetBudget,
      initialBudget: record.initialBudget,
      finalizedAt: record.finalizedAt,
      choices: record.choices.length,
    },
  };
}

/** The regularizer was part of the objective at every step, and the loss that is reported holds none of it. */
export function objectiveProof(
  { regularizes }: Pick<RankSwitches, "regularizes">,
  { regularizers }: Pick<TrainedFacts, "regularizers">,
): Proof {
  const on = regularizers.filter((r) => r > 0).length;
  return {
    name: "regularizer-in-training-only",
    holds: regularizes ? on === regularizers.length : on === 0,
    detail: {
      steps: regularizers.length,
      withRegularizer: on,
      first: regularizers[0] ?? 0,
      last: regularizers.at(-1) ?? 0,
    },
  };
}
