/** Adds the lines of finished runs to the folder of results as they come. What cannot be added is told, and tried again with the next one. */
import { InputError } from "../errors.ts";
import type { Report } from "../records/executor.ts";
import { readResultLine, runOf, type ResultLine } from "../store/result-line.ts";
import type { RunStore } from "../store/run-store.ts";
import type { StudyRun } from "./plan-study.ts";

export class LineKeeper {
  readonly #store: RunStore;
  readonly #say: (line: string) => void;
  #waiting: ResultLine[] = [];
  #trouble: InputError | undefined;

  constructor(store: RunStore, say: (line: string) => void) {
    [this.#store, this.#say] = [store, say];
  }

  /** Those that the store has, and no line tells of. */
  async keepDone(runs: readonly StudyRun[]): Promise<void> {
    const { kept } = this.#store;
    if (kept === undefined) return;
    const names = new Map(runs.map(({ name, id, done }) => [done?.name ?? name, done?.id ?? id]));
    const lines: ResultLine[] = [];
    for (const [name, id] of names) {
      if (kept.has(id) || !this.#store.has(name)) continue;
      try {
        const line = this.#store.line(name);
        if (line !== undefined) lines.push(line);
      } catch (error) {
        // of a damaged run is told where it is asked for
        if (!(error instanceof InputError)) throw error;
      }
    }
    await this.#add(lines);
  }

  async keep(report: Report): Promise<void> {
    if (this.#store.kept === undefined || !("line" in report) || report.line === undefined) return;
    await this.#add([readResultLine(report.line, "a line of a run")]);
  }

  /** @throws InputError where a line could not be added */
  finish(): void {
    if (this.#trouble !== undefined) throw this.#trouble;
  }

  async #add(lines: readonly ResultLine[]): Promise<void> {
    this.#waiting.push(...lines);
    try {
      await this.#store.kept!.add(this.#waiting);
      [this.#waiting, this.#trouble] = [[], undefined];
    } catch (error) {
      if (!(error instanceof InputError) && !(error instanceof Error && "syscall" in error)) throw error;
      const names = this.#waiting.map((line) => runOf(line).name);
      const what = names.length === 1 ? `the line of ${names[0]} is` : `lines of ${names.length} runs are`;
      this.#trouble = new InputError(
        `${error.message}; ${what} not kept yet: the same command adds them, once that is mended`,
        { cause: error },
      );
      this.#say(this.#trouble.message);
    }
  }
}
