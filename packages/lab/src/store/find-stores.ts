/** Where runs are: a folder that `--out` named, or several below one, since `run` and `train` without `--out` make theirs side by side. */
import { readdirSync, type Dirent } from "node:fs";
import { basename, dirname, join, relative } from "node:path";

/** One folder of runs. */
export interface Store {
  /** `--out`'s name below what was asked for; empty where that is the store itself. */
  readonly label: string;
  /** `<out>/runs`. */
  readonly folder: string;
}

/** Stores at or below the folder: itself, what lies in it, or what lies in its `runs`. */
export function findStores(out: string): Store[] {
  if (isStore(join(out, "runs"))) return [{ label: "", folder: join(out, "runs") }];
  const below = [out, join(out, "runs")].flatMap((folder) =>
    folders(folder)
      .filter((name) => !name.startsWith(".") && isStore(join(folder, name, "runs")))
      .map((name) => ({ label: relative(out, join(folder, name)), folder: join(folder, name, "runs") })),
  );
  if (below.length > 0) return below;
  // the folder of runs itself
  return basename(out) === "runs" && isStore(out) ? [{ label: basename(dirname(out)), folder: out }] : [];
}

/** A folder called `runs` in which studies lie is not one of runs. */
function isStore(folder: string): boolean {
  const names = folders(folder);
  return names.length > 0 && !names.some((name) => folders(join(folder, name)).includes("runs"));
}

function folders(folder: string): string[] {
  let found: Dirent[];
  try {
    found = readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
  return found.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}
