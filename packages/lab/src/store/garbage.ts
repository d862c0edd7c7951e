/** What a store holds that no run needs any more, and how it goes: by a rename first, so that nothing half removed carries a run's name. */
import { randomUUID } from "node:crypto";
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import type { Store } from "./find-stores.ts";
import { lockFolder } from "./lock.ts";
import { filesIn } from "./read-run.ts";
import { readEntry, readRuns, type RunEntry } from "./read-runs.ts";
import { textIn } from "./run-files.ts";

export interface Garbage {
  readonly store: Store;
  readonly entry: RunEntry;
  /** What is removed: the folder, or what lies in it. */
  readonly path: string;
  readonly why: string;
  readonly files: number;
  readonly bytes: number;
}

/** @param interrupted also runs that could go on */
export function findGarbage(store: Store, interrupted: boolean): Garbage[] {
  const entries = readRuns(store.folder);
  const finished = new Set(entries.flatMap(({ state, name }) => (state === "finished" ? [name] : [])));
  return entries.flatMap((entry) => {
    const folder = join(store.folder, entry.folder);
    const why = reason(entry, finished, interrupted);
    if (why !== undefined) return [weighed(store, entry, folder, why)];
    // checkpoints that a finished run lists among its files are part of it
    const checkpoints = weighed(store, entry, join(folder, CHECKPOINTS), "checkpoints of a finished run");
    const listed = textIn(folder, "SHA256SUMS")?.includes(`  ${CHECKPOINTS}/`) ?? true;
    return entry.state === "finished" && checkpoints.files > 0 && !listed ? [checkpoints] : [];
  });
}

const CHECKPOINTS = "checkpoints";

function reason(
  { state, folder, name }: RunEntry,
  finished: ReadonlySet<string>,
  interrupted: boolean,
): string | undefined {
  if (state === "failed") return "failed";
  if (state === "set-aside") return folder.startsWith(".gc-") ? "left over from an earlier gc" : "set aside";
  if (state !== "interrupted") return undefined;
  if (finished.has(name)) return "left over, the run is finished";
  // nothing goes on from the folders of earlier versions
  if (folder.startsWith(".tmp-")) return "left over, its process is gone";
  return interrupted ? "interrupted" : undefined;
}

function weighed(store: Store, entry: RunEntry, path: string, why: string): Garbage {
  const files = filesIn(path);
  return { store, entry, path, why, files: files.length, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0) };
}

/** Removes it. False where it is gone, or somebody has taken it up in the meantime. */
export function removeGarbage({ store, entry, path }: Garbage): boolean {
  const now = readEntry(store.folder, entry.folder);
  if (now.state !== entry.state) return false;
  // work that could go on is ours before it goes: who takes it up meanwhile finds it held
  if (entry.state === "interrupted" && !taken(path)) return false;
  const aside = join(store.folder, `.gc-${entry.name}-${randomUUID().slice(0, 8)}`);
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
  rmSync(aside, { recursive: true, force: true });
  return true;
}

function taken(folder: string): boolean {
  try {
    // the lock goes with the folder
    lockFolder(folder);
    return true;
  } catch (error) {
    if (error instanceof InputError || (error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}
