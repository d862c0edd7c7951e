/** What a signal, a closed pipe and an output that cannot be written do to the command. */
import { printable } from "@lowrank/tensor/check";
import { CLEAR_LINE } from "../text/progress.ts";
import { Interrupted, Stop } from "../train/stop.ts";
import { EXIT_FAILED } from "./outcome.ts";
import { Stopped } from "./stopped.ts";

/** Exit codes are 128 + the signal's number, as shells say it. */
const STOPPED = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
type Signal = keyof typeof STOPPED;

/**
 * One Ctrl-C may come more than once, from the terminal and from a program that passes it on (npm); who presses it again means it. Once this
 * has passed signals do what they do by themselves, at once, even while a long step keeps this process from answering.
 */
const SAME_MS = 500;

/**
 * While `body` runs, a signal asks it to stop where something is under way that can be saved (`Stop.heeded`), else it ends the process with
 * the signal's code after exit handlers have given back what is held (a folder's lock). A second one leaves at once. Outside of `body` signals do what
 * they always do: long synchronous work would keep a handler waiting.
 */
export async function untilSignal<T>(body: (stop: Stop) => Promise<T>): Promise<T> {
  const stop = new Stop();
  const handlers = new Map<Signal, () => void>();
  const remove = (): void => {
    for (const [name, handler] of handlers) process.off(name, handler);
  };
  const got = (name: Signal): void => {
    if (stop.asked !== undefined) return;
    if (!stop.heeded) {
      say(`stopped by ${name}; what is finished is kept, and the same command continues`);
      process.exit(STOPPED[name]);
    }
    stop.ask(name);
    say(`${name}: stopping once this step is finished and saved; again leaves at once`);
    setTimeout(remove, SAME_MS).unref();
  };
  for (const name of Object.keys(STOPPED) as Signal[]) {
    const handler = (): void => got(name);
    handlers.set(name, handler);
    process.on(name, handler);
  }
  try {
    return await body(stop);
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    throw new Stopped(error, STOPPED[error.why as Signal]);
  } finally {
    remove();
  }
}

function say(line: string): void {
  process.stderr.write(`${process.stderr.isTTY ? CLEAR_LINE : ""}lowrank: ${line}\n`);
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
