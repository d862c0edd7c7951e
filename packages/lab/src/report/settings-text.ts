/** Resolved settings as keys and values, for tables. */
import { objectOf } from "../store/run-files.ts";
import type { ResolvedConfig } from "../config/study.ts";

/** Where things lie, and what a run is called by: nothing that decides a number. */
const APART: ReadonlySet<string> = new Set(["name", "base", "sources", "taskLabel"]);

/** Dotted keys of all that decides a run's numbers. Values are JSON, words without quotes. */
export function flatSettings(config: ResolvedConfig): Map<string, string> {
  return new Map(Object.entries(config).flatMap(([key, value]) => (APART.has(key) ? [] : flat(key, value))));
}

function flat(at: string, value: unknown): [string, string][] {
  const inner = objectOf(value);
  if (inner !== undefined) {
    const entries = Object.entries(inner);
    // patterns name modules, which are no settings of their own
    if (entries.length > 0 && !/[pP]attern$|ranks$/.test(at))
      return entries.flatMap(([key, of]) => flat(`${at}.${key}`, of));
    if (entries.length === 0) return [];
  }
  return value === null || value === undefined ? [] : [[at, typeof value === "string" ? value : JSON.stringify(value)]];
}
