/** What a store has of a planned run: its result, or what is wrong with its folder. One damaged run is no reason not to make the others. */
import { InputError } from "../errors.ts";
import type { FinishedRun } from "../store/measures.ts";
import { objectIn, textOf } from "../store/run-files.ts";
import type { RunStore } from "../store/run-store.ts";
import { UNNAMED } from "../train/anomaly.ts";

export interface Found {
  readonly done?: FinishedRun | undefined;
  /** Why the folder that is there is not taken for the run's result. */
  readonly damaged?: string | undefined;
  /** What a line says of a run that met a number that is not finite, and would again. */
  readonly diverged?: string | undefined;
}

interface Sought {
  readonly name: string;
  readonly cell: string;
  readonly seed: number;
}

export type Find = (run: Sought) => Found;

/** @param reuse a finished run of the same cell by other code counts, too */
export function findIn(store: RunStore, reuse: boolean): Find {
  const others = reuse ? store.names().map((name) => ({ name, ...finishedIn(store, name) })) : [];
  const byCell = new Map(others.flatMap(({ done }) => (done === undefined ? [] : [[done.cell, done]])));
  const broken = others.flatMap(({ name, damaged }) =>
    damaged === undefined ? [] : [{ name, damaged, cell: textOf(objectIn(store.path(name), "result.json")?.["cell"]) }],
  );
  return (run) => {
    const own = finishedIn(store, run.name);
    if (own.damaged !== undefined) return own;
    const done = own.done ?? byCell.get(run.cell);
    if (done !== undefined) return isOf(done, run) ? { done } : { damaged: mistaken(store, done) };
    // of a result that cannot be read its name tells whose it was
    const other = broken.find(({ name, cell }) => (cell ?? run.cell) === run.cell && stem(name) === stem(run.name));
    if (other !== undefined) return { damaged: other.damaged };
    const { message, where } = store.kept?.diverged(run.name) ?? {};
    return message === undefined ? {} : { diverged: `${keptWords(message)} (${where})` };
  };
}

export function isOf(done: FinishedRun, { seed, cell }: Omit<Sought, "name">): boolean {
  return done.seed === seed && done.cell === cell;
}

export function mistaken(store: RunStore, { name, seed }: FinishedRun): string {
  return `${store.path(name)}: says seed ${seed} and another cell than its name; move the folder away or delete it, and the run is made again`;
}

function finishedIn(store: RunStore, name: string): Found {
  try {
    return { done: store.finished(name) };
  } catch (error) {
    if (error instanceof InputError) return { damaged: error.message };
    throw error;
  }
}

/** A run that a line tells of is not made again, whatever is asked for beside it: what would name the operation is said as it is. */
function keptWords(message: string): string {
  return message.replace(UNNAMED, `delete this line and give the command again, and ${UNNAMED}`);
}

/** A run's name without the digits of its identity. */
function stem(name: string): string {
  return name.replace(/-[0-9a-f]{8}$/, "");
}
