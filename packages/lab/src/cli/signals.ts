/** What a signal, a closed pipe and an output that cannot be written do to the command. */
import { printable } from "@lowrank/tensor/check";
import { CLEAR_LINE } from "../text/progress.ts";
import { EXIT_FAILED } from "./outcome.ts";

/** Exit codes are 128 + the signal's number, as shells say it. */
const STOPPED = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/**
 * While `body` runs, a signal ends the process with its code, after exit handlers have given back what is held (a folder's lock). Outside
 * of it signals do what they always do, at once: long synchronous work would keep a handler waiting.
 */
export async function untilSignal<T>(body: () => Promise<T>): Promise<T> {
  const handlers = Object.entries(STOPPED).map(([name, code]) => {
    const stop = (): void => {
      process.stderr.write(
        `${process.stderr.isTTY ? CLEAR_LINE : ""}lowrank: stopped by ${name}; what is finished is kept, and the same command continues\n`,
      );
      process.exit(code);
    };
    process.on(name, stop);
    return () => void process.off(name, stop);
  });
  try {
    return await body();
  } finally {
    for (const remove of handlers) remove();
  }
}

/**
 * Who reads may stop reading (`| head`): that is no failure, and no reason to stop the work. An output that takes nothing for another
 * reason, a full disk, ends the command with one line and code 1: what was asked for is not there.
 */
export function guardOutputs(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") return;
    process.stderr.write(`lowrank: cannot write to the standard output: ${printable(error.message)}\n`);
    process.exit(EXIT_FAILED);
  });
  process.stderr.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") process.exit(EXIT_FAILED);
  });
}
