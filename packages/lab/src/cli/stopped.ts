/** How a command ends that was asked to stop and has saved what there was. */
import type { Interrupted } from "../train/stop.ts";
import { commandLine } from "./command-line.ts";

/** Ends the command with a signal's code, and says how it goes on. */
export class Stopped extends Error {
  override readonly name = "Stopped";
  readonly code: number;

  constructor({ why, message }: Interrupted, code: number) {
    super(`stopped by ${why}; ${message}; to go on: ${commandLine()}`);
    this.code = code;
  }
}
