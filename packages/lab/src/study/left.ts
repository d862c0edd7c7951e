/** What becomes of a run that did not end well: what it was worth is kept, and who reads is told what to do. */
import { existsSync } from "node:fs";
import { LowrankError } from "@lowrank/tensor";
import { InputError } from "../errors.ts";
import { Busy } from "../records/executor.ts";
import type { Sink } from "../records/sink.ts";
import type { Checkpoints } from "../store/checkpoints.ts";
import { LostLock } from "../store/lock.ts";
import type { RunFolder } from "../store/run-store.ts";
import { Interrupted } from "../train/stop.ts";
import type { FailedRun } from "./outcome.ts";
import type { StudyRun } from "./plan-study.ts";

export interface LeftRun {
  readonly folder: RunFolder;
  readonly run: StudyRun;
  readonly saved: Checkpoints;
  readonly sinks: Sink;
  readonly say: (line: string) => void;
}

/** @throws InputError, which is wrong for every run; Interrupted */
export async function leave(error: unknown, { folder, run, saved, sinks, say }: LeftRun): Promise<FailedRun | Busy> {
  const failure = error instanceof Error ? error : new Error(String(error));
  const interrupted = failure instanceof Interrupted;
  await attempted(() => sinks.finish(interrupted ? "interrupted" : "failed"));
  if (failure instanceof LostLock) {
    folder.leave();
    say(`${failure.message}; it makes the run`);
    return new Busy("another process");
  }
  if (interrupted) {
    await attempted(() => folder.event("interrupted", { by: failure.why }));
    folder.leave();
    throw new Interrupted(failure.why, `${run.name}: ${failure.message}`);
  }
  const steps = await saved.steps();
  // wrong input is wrong for every run: stop at once, leave nothing that could not be made again at once
  if (failure instanceof InputError) {
    if (steps.length === 0) folder.discard();
    else folder.leave();
    throw failure;
  }
  const failed = { name: run.name, config: run.config.name, seed: run.seed };
  const outside = fromOutside(failure, folder);
  if (outside !== undefined) {
    // nothing is wrong with the run: it goes on as if it had been killed
    await attempted(() => folder.event("interrupted", { by: failure.message }));
    folder.leave();
    const next = steps.length === 0 ? "begins it anew" : `goes on with it from step ${steps[0]}`;
    const message = `${outside}; then the same command ${next}`;
    say(`STOPPED: ${message}`);
    return { ...failed, message, kept: folder.path };
  }
  const kept = folder.fail(failure);
  say(`FAILED: ${failure.message} (kept: ${kept})`);
  return { ...failed, message: failure.message, kept };
}

const FULL: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT"]);

/** What a failure says and what to do about it, where the machine is to blame; undefined where the run is. */
function fromOutside(failure: Error, folder: RunFolder): string | undefined {
  if (failure instanceof LowrankError)
    return failure.kind === "environment" ? `${failure.message}; see to the device` : undefined;
  if (!("syscall" in failure)) return undefined;
  const { code = "" } = failure as NodeJS.ErrnoException;
  if (!existsSync(folder.path))
    return `${folder.path} is gone: somebody removed it while the run was made; leave it alone`;
  if (FULL.has(code)) return `${folder.path}: there is no space left to write to (${code}); free some`;
  return `${failure.message}; see to it`;
}

/** What may fail for the same reason as the run. */
async function attempted(body: () => void | Promise<void>): Promise<void> {
  try {
    await body();
  } catch {
    // the run's own failure is told
  }
}
