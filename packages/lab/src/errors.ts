/**
 * Errors of the lab that the user can fix. Everything else a command meets is either a failed run (reported per run)
 * or a bug of ours, which the command line prints with the prefix `internal:`.
 */
import { LowrankError } from "@lowrank/tensor";

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
