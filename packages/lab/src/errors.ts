/**
 * Errors of the lab that the user can fix. Everything else a command meets is either a failed run (reported per run)
 * or a bug of ours, which the command line prints with the prefix `internal:`.
 */
import { LowrankError } from "@lowrank/tensor/check";

/** Something in the command line, a configuration or a data file. The message is one line and names the file or key and the fix. */
export class InputError extends LowrankError {
  constructor(message: string, options?: ErrorOptions) {
    super("InputError", message, options);
  }
}

/** A training run that had to stop: non-finite values, a failed proof. The run folder keeps the last good checkpoint. */
export class RunError extends LowrankError {
  constructor(message: string, options?: ErrorOptions) {
    super("RunError", message, options);
  }
}

/** A value that is not finite ended the run: nothing after it would mean anything. Of a rate that is tried it is the answer. */
export class DivergedError extends RunError {
  override readonly name = "DivergedError";
}

/** Runs `body`, which reads what the user gave: errors of kind input in it are the user's to mend before anything is trained. */
export function asInput<T>(body: () => T): T {
  try {
    const result = body();
    // what a promise is rejected with comes later
    return result instanceof Promise
      ? (result.catch((error: unknown) => {
          throw inputOf(error);
        }) as T)
      : result;
  } catch (error) {
    throw inputOf(error);
  }
}

function inputOf(error: unknown): unknown {
  if (error instanceof InputError || !(error instanceof LowrankError) || error.kind !== "input") return error;
  return new InputError(error.message, { cause: error });
}
