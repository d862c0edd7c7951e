/** Steps one after the other, of which a file may have many: together they must not blow a text up. */
import { LowrankError } from "@lowrank/tensor";
import type { Place } from "@lowrank/tensor/check";

/** Compatibility forms make 18 characters of one; nothing that a tokenizer does needs much more. */
const MOST_GROWTH = 32;
/** What short texts may grow to in any case. */
const ALLOWED = 1024;

/** The steps that a sequence is made of, so that the growth of nested ones is counted once. */
const STEPS = new WeakMap<object, readonly unknown[]>();

/** @throws LowrankError (FormatError), when it runs, where the text grows beyond all reason */
export function inTurn<T>(steps: readonly ((x: T) => T)[], sizeOf: (x: T) => number, at: Place): (x: T) => T {
  const flat = steps.flatMap((step) => (STEPS.get(step) as typeof steps | undefined) ?? [step]);
  const run = (from: T): T => {
    const most = MOST_GROWTH * sizeOf(from) + ALLOWED;
    return flat.reduce((x, step) => {
      const next = step(x);
      if (sizeOf(next) > most)
        throw new LowrankError(
          "FormatError",
          `${at.source}: "${at.path.join(".")}" makes a text more than ${MOST_GROWTH} times longer`,
        );
      return next;
    }, from);
  };
  STEPS.set(run, flat);
  return run;
}
