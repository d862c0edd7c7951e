/** What an allocator's outcome leaves to doubt, though it did what it should. */
import type { AllocationRecord } from "@lowrank/peft";

/**
 * One line for people, or nothing. PEFT cuts every triplet whose score is no more than that of the first one beyond the budget, so that where scores are equal
 * (nothing has moved yet, as in a run of a few steps) fewer stay than may, or none.
 */
export function tooFewRanks(record: AllocationRecord | undefined): string | undefined {
  if (record === undefined || record.kept >= record.targetBudget) return undefined;
  const { kept, targetBudget, finalizedAt, budgets } = record;
  const when = finalizedAt === null ? "" : ` when it chose for good, at step ${finalizedAt} of ${budgets.length}`;
  const said =
    kept === 0
      ? `the allocator kept no rank of the ${targetBudget} that it may keep, so that the adapter changes nothing`
      : `the allocator kept ${kept} of the ${targetBudget} ranks that it may keep`;
  return `${said}: scores were equal${when}; train for more steps, or choose later (a smaller "tfinal")`;
}
