/** What the page knows: all runs by key, kept up to date by the server's events. */
import {
  LIVE_FILES,
  type LiveFile,
  type WireChanges,
  type WireMetric,
  type WireRows,
  type WireRun,
  type WireRuns,
} from "./wire.ts";

/** A growing table of a run, as far as it came. */
export interface LiveTable {
  columns: readonly string[];
  rows: (readonly (number | null)[])[];
  every: number;
}
export type LiveTables = Readonly<Record<LiveFile, LiveTable>>;

export interface Known {
  readonly runs: Map<string, WireRun>;
  metrics: readonly WireMetric[];
}

export async function ask<T>(path: string): Promise<T> {
  const response = await fetch(path);
  if (!response.ok) throw new Error(((await response.json()) as { error?: string }).error ?? response.statusText);
  return (await response.json()) as T;
}

export async function firstRuns(known: Known): Promise<void> {
  const { runs, metrics } = await ask<WireRuns>("/api/runs");
  for (const run of runs) known.runs.set(run.key, run);
  known.metrics = metrics;
}

export function emptyTables(): LiveTables {
  return Object.fromEntries(
    LIVE_FILES.map((file) => [file, { columns: [], rows: [], every: 1 }]),
  ) as unknown as LiveTables;
}

export interface Listener {
  /** Keys of runs that changed or are gone. */
  runs(changed: readonly string[]): void;
  rows?(key: string, tables: LiveTables, file: LiveFile): void;
  connected(live: boolean): void;
}

/**
 * Follows the server until it is told to stop; a connection that breaks is made again by itself. A page in the background gives its connection back: a browser
 * has six for all pages of one server.
 */
export function follow(known: Known, keys: readonly string[], listener: Listener): () => void {
  let source = connected(known, keys, listener);
  const seen = (): void => {
    source.close();
    if (!document.hidden) source = connected(known, keys, listener);
  };
  document.addEventListener("visibilitychange", seen);
  return () => {
    document.removeEventListener("visibilitychange", seen);
    source.close();
  };
}

/** What was there before comes again at the beginning. */
function connected(known: Known, keys: readonly string[], listener: Listener): EventSource {
  const source = new EventSource(`/api/stream?run=${keys.join(",")}`);
  const tables = new Map(keys.map((key) => [key, emptyTables()]));
  source.addEventListener("open", () => listener.connected(true));
  source.addEventListener("error", () => listener.connected(false));
  source.addEventListener("runs", (event) => {
    const { changed, removed: gone, all } = JSON.parse(event.data) as WireChanges;
    const there = new Set(changed.map(({ key }) => key));
    const removed = all ? [...known.runs.keys()].filter((key) => !there.has(key)) : gone;
    const unlike = changed.filter((run) => JSON.stringify(known.runs.get(run.key)) !== JSON.stringify(run));
    for (const run of unlike) known.runs.set(run.key, run);
    for (const key of removed) known.runs.delete(key);
    if (unlike.length + removed.length > 0) listener.runs([...unlike.map(({ key }) => key), ...removed]);
  });
  source.addEventListener("rows", (event) => {
    const { key, file, columns, rows, reset, every } = JSON.parse(event.data) as WireRows & {
      key: string;
      file: LiveFile;
    };
    const table = tables.get(key)?.[file];
    if (table === undefined) return;
    if (reset) [table.columns, table.rows, table.every] = [columns, [], every];
    table.rows.push(...rows);
    listener.rows?.(key, tables.get(key)!, file);
  });
  return source;
}

/** Points of a column over steps, without what is missing. */
export function points({ columns, rows }: LiveTable, column: string): [number, number][] {
  const [x, y] = [columns.indexOf("step"), columns.indexOf(column)];
  if (x < 0 || y < 0) return [];
  return rows.flatMap((row) => {
    const [step, value] = [row[x], row[y]];
    return typeof step === "number" && typeof value === "number" ? [[step, value] as [number, number]] : [];
  });
}
