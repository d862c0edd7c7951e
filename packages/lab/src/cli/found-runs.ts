/** The runs that a command is about: of every store at a folder, and one by a beginning of its name. */
import { quote, suggestion } from "@lowrank/tensor/check";
import { InputError } from "../errors.ts";
import { findStores, type Store } from "../store/find-stores.ts";
import { readEntry, readRuns, runFolders, type RunEntry, type RunState } from "../store/read-runs.ts";
import { cut } from "../text/shown.ts";

export interface FoundRun extends RunEntry {
  readonly store: Store;
}

/** @throws InputError where there is no store */
export function storesAt(out: string): Store[] {
  const stores = findStores(out);
  if (stores.length === 0)
    throw new InputError(
      `--out ${cut(out)}: holds no runs; give the folder that "lowrank run" or "lowrank train" had as --out`,
    );
  return stores;
}

export function allRuns(stores: readonly Store[]): FoundRun[] {
  return stores.flatMap((store) => readRuns(store.folder).map((entry) => ({ ...entry, store })));
}

/** What is told of a run of which there are several: a failure of one that has succeeded is history. */
const ORDER: readonly RunState[] = ["finished", "damaged", "working", "interrupted", "failed", "foreign", "set-aside"];

/** The run whose name, or whose folder's, begins so. @throws InputError where none does, or several do */
export function runNamed(stores: readonly Store[], said: string): FoundRun {
  const folders = stores.flatMap((store) => runFolders(store.folder).map((folder) => ({ store, folder })));
  const mark = /^\.(?:work|failed|set-aside|gc|tmp)-/;
  const candidates = folders.filter(
    ({ folder }) => folder === said || folder.startsWith(said) || folder.replace(mark, "").startsWith(said),
  );
  const runs = candidates.map(({ store, folder }) => ({ ...readEntry(store.folder, folder), store }));
  // the whole name is enough, also where others begin with it
  const whole = runs.filter((run) => run.folder === said || run.name === said);
  const chosen = whole.length > 0 ? whole : runs;
  const names = [...new Set(chosen.map((run) => `${run.store.folder}/${run.name}`))];
  if (names.length === 1)
    return chosen.find((run) => run.folder === said) ?? chosen.sort((a, b) => rank(a) - rank(b))[0]!;
  if (names.length === 0) {
    const known = folders.map(({ folder }) => folder.replace(mark, ""));
    throw new InputError(
      `no run is called ${quote(cut(said))}${suggestion(cut(said), known)}; "lowrank ls" lists them`,
    );
  }
  const listed = [...new Set(chosen.map((run) => run.name))];
  const shown = listed.slice(0, 4).join(", ");
  throw new InputError(
    listed.length === 1
      ? `${quote(cut(said))} is in ${names.length} stores; give --out of one of them: ${chosen.map((run) => run.store.label).join(", ")}`
      : `${quote(cut(said))} is the beginning of ${listed.length} runs: ${shown}${listed.length > 4 ? ", …" : ""}; give more of the name`,
  );
}

function rank({ state }: RunEntry): number {
  return ORDER.indexOf(state);
}
