/**
 * How the command ends. Bad input: one line on stderr, code 2. A run or a device that failed: one line, code 1. A bug of
 * ours: one line that begins with `internal:`, code 1. Stack traces only with --verbose. Signals: `signals.ts`.
 */
import { CommanderError } from "commander";
import { InvariantError, LowrankError, printable } from "@lowrank/tensor/check";
import { cutQuoted } from "../text/shown.ts";
import { Stopped } from "./stopped.ts";

export const EXIT_OK = 0;
export const EXIT_FAILED = 1;
export const EXIT_BAD_INPUT = 2;

/** A path that the user can give otherwise; a full disk or a broken device is not among them. */
const MENDABLE: ReadonlySet<string> = new Set([
  "EACCES",
  "EEXIST",
  "EISDIR",
  "ELOOP",
  "ENAMETOOLONG",
  "ENOENT",
  "ENOTDIR",
  "ENOTEMPTY",
  "EPERM",
  "EROFS",
]);

/** One line for people and the exit code. */
export function describeFailure(error: unknown): { line: string; code: number } {
  if (error instanceof CommanderError)
    return {
      line: oneLine(error.message.replace(/^error: /, "")),
      code: error.exitCode === 0 ? EXIT_OK : EXIT_BAD_INPUT,
    };
  if (error instanceof Stopped) return { line: printable(error.message), code: error.code };
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  if (error instanceof InvariantError) return { line: oneLine(message), code: EXIT_FAILED };
  if (error instanceof LowrankError) {
    // a wrong input and a machine that cannot are for the user to mend; the rest went wrong while it ran
    const code = error.kind === "input" || error.kind === "environment" ? EXIT_BAD_INPUT : EXIT_FAILED;
    return { line: oneLine(error.code === "InputError" ? message : `${name}: ${message}`), code };
  }
  // Node's file system errors carry a code and a path: the machine's fault or the user's, not ours.
  if (error instanceof Error && "syscall" in error) {
    const errno = (error as NodeJS.ErrnoException).code ?? "";
    return { line: oneLine(message), code: MENDABLE.has(errno) ? EXIT_BAD_INPUT : EXIT_FAILED };
  }
  return {
    line: `internal: ${oneLine(`${name}: ${message}`)} (run again with --verbose and report it)`,
    code: EXIT_FAILED,
  };
}

function oneLine(text: string): string {
  return printable(cutQuoted(text.trim()));
}
