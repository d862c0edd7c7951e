/** Runs of a study beside the part of it that a command makes: what is done of them stays in the study's files. */
import { InputError } from "../errors.ts";
import type { FinishedRun } from "../store/measures.ts";
import type { RunStore } from "../store/run-store.ts";
import { isOf, mistaken } from "./found.ts";
import type { StudyRun } from "./plan-study.ts";
import type { Source } from "./settle.ts";
import { sourceIn } from "./sources.ts";

export class RestOfStudy {
  /** All runs of the study, in its order. */
  readonly whole: readonly StudyRun[];
  readonly #store: RunStore;
  readonly #say: (line: string) => void;
  readonly #read = new Map<string, FinishedRun>();
  readonly #leftOut = new Set<string>();

  /** @param say receives a line for each run that is damaged, which is left out */
  constructor(whole: readonly StudyRun[], store: RunStore, say: (line: string) => void) {
    [this.whole, this.#store, this.#say] = [whole, store, say];
  }

  /** Those that are done by now, whoever made them; each is read once, and its weights are not. @param asked what the command itself tells of */
  finished(asked: ReadonlySet<string>): ReadonlyMap<string, FinishedRun> {
    for (const run of this.whole) {
      if (asked.has(run.name) || this.#read.has(run.name) || this.#leftOut.has(run.name)) continue;
      try {
        const done = this.#store.glance(run.name) ?? run.done;
        if (run.damaged !== undefined) throw new InputError(run.damaged);
        if (done === undefined) continue;
        if (!isOf(done, run)) throw new InputError(mistaken(this.#store, done));
        this.#read.set(run.name, done);
      } catch (error) {
        if (!(error instanceof InputError) && !(error instanceof Error && "syscall" in error)) throw error;
        this.#leftOut.add(run.name);
        this.#say(`left out of the study's files: ${error.message}`);
      }
    }
    return this.#read;
  }

  /** Of a rate that was tried for another part: one that diverged left no result. */
  tried({ name }: StudyRun): Source | undefined {
    try {
      return sourceIn(this.#store, name);
    } catch {
      return undefined;
    }
  }
}
