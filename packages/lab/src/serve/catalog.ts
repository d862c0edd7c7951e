/**
 * The runs that the page may ask for, by keys that are no paths: what is not in the list cannot be named. Finished runs do not change, so that they are
 * read once.
 */
import { createHash } from "node:crypto";
import { lstatSync } from "node:fs";
import { join } from "node:path";
import { findStores } from "../store/find-stores.ts";
import { readEntry, runFolders, type RunEntry } from "../store/read-runs.ts";
import type { WireRun } from "./page/wire.ts";

interface Place {
  readonly store: string;
  readonly folder: string;
}

export class Catalog {
  readonly #out: string;
  readonly #read = new Map<string, { readonly mark: string; readonly entry: RunEntry }>();
  #places = new Map<string, Place>();

  constructor(out: string) {
    this.#out = out;
  }

  /** Every run as it is now. */
  list(): WireRun[] {
    const found = findStores(this.#out).flatMap(({ label, folder }) =>
      runFolders(folder).map((name) => ({ label, store: folder, entry: this.#entry(folder, name) })),
    );
    // a run keeps its key when it is finished; what else is left of it has its folder's
    found.sort((a, b) => Number(isLeft(a.entry)) - Number(isLeft(b.entry)));
    const places = new Map<string, Place>();
    const runs = found.map(({ label, store, entry }) => {
      const named = keyOf(store, isLeft(entry) ? entry.folder : entry.name);
      const key = places.has(named) ? keyOf(store, entry.folder) : named;
      places.set(key, { store, folder: entry.folder });
      return { ...entry, key, store: label };
    });
    this.#places = places;
    return runs;
  }

  /** Where the run is, if the last list had it. */
  find(key: string): Place | undefined {
    return this.#places.get(key);
  }

  #entry(store: string, folder: string): RunEntry {
    const path = join(store, folder);
    const mark = markOf(join(path, "result.json"));
    const before = this.#read.get(path);
    if (mark !== undefined && before?.mark === mark) return before.entry;
    const entry = readEntry(store, folder);
    if (mark !== undefined && entry.state === "finished") this.#read.set(path, { mark, entry });
    return entry;
  }
}

/** Not the run itself, as it is or grows. */
function isLeft({ state }: RunEntry): boolean {
  return state !== "finished" && state !== "working" && state !== "interrupted";
}

function keyOf(store: string, name: string): string {
  return createHash("sha256").update(`${store}\0${name}`).digest("hex").slice(0, 16);
}

/** Changes when the file does. */
function markOf(path: string): string | undefined {
  try {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    return stats === undefined ? undefined : `${stats.ino} ${stats.size} ${stats.mtimeMs}`;
  } catch {
    return undefined;
  }
}
