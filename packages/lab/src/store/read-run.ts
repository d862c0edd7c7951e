/** All that a run's folder says, whatever state it is in: for who looks at one run, or compares two. */
import { lstatSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { readEntry, type RunEntry } from "./read-runs.ts";
import { numberOf, objectIn, objectOf, parsedObject, rowOf, textIn, textOf } from "./run-files.ts";
import type { ModuleRow, Proof } from "./result.ts";

/** A table of numbers: `cells[row][column]`, null where there was none. */
export interface NumberTable {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (number | null)[])[];
}

export interface RunDetail {
  readonly entry: RunEntry;
  /** Resolved, as the run was made. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>> | undefined;
  readonly measures?: Readonly<Record<string, unknown>> | undefined;
  readonly environment?: Readonly<Record<string, unknown>> | undefined;
  readonly proofs: readonly Proof[];
  readonly modules: readonly Pick<ModuleRow, "module" | "rank">[];
  readonly evaluations: NumberTable;
  readonly ranks: NumberTable;
  readonly files: readonly { readonly file: string; readonly bytes: number }[];
}

/** Reads one of `runFolders` of the store. */
export function readRun(store: string, folder: string): RunDetail {
  const path = join(store, folder);
  const entry = readEntry(store, folder);
  // behind a link there is nothing of the store
  const inside = entry.state === "foreign" && entry.why?.startsWith("is a link") === true ? undefined : path;
  const read = (file: string): Readonly<Record<string, unknown>> | undefined =>
    inside === undefined ? undefined : objectIn(inside, file);
  const result = read("result.json");
  const { study: _, seed: _seed, ...config } = read("config.json") ?? {};
  const adapted = inside === undefined ? undefined : adaptedEvent(inside);
  return {
    entry,
    config,
    result,
    measures: read("measures.json") ?? measuredIn(result),
    environment: read("env.json"),
    proofs: proofsOf(result?.["proofs"] ?? adapted?.["proofs"]),
    modules: modulesOf(result?.["modules"] ?? adapted?.["modules"]),
    evaluations: tableIn(inside, "metrics.csv"),
    ranks: tableIn(inside, "ranks.csv"),
    files: inside === undefined ? [] : filesIn(inside),
  };
}

/** Earlier versions measured into the result. */
function measuredIn(result: RunDetail["result"]): RunDetail["measures"] {
  if (result?.["seconds"] === undefined) return undefined;
  return { seconds: result["seconds"], memory: result["memory"] };
}

/** What a run that is not finished said of its adapter before the first step. */
function adaptedEvent(path: string): Readonly<Record<string, unknown>> | undefined {
  for (const line of (textIn(path, "events.jsonl") ?? "").split("\n")) {
    const event = line.includes('"adapted"') ? parsedObject(line) : undefined;
    if (event?.["event"] === "adapted") return event;
  }
  return undefined;
}

function proofsOf(value: unknown): Proof[] {
  return (Array.isArray(value) ? value : []).flatMap((item) => {
    const proof = objectOf(item);
    const name = textOf(proof?.["name"]);
    return name === undefined
      ? []
      : [{ name, holds: proof?.["holds"] === true, detail: objectOf(proof?.["detail"]) ?? {} }];
  });
}

function modulesOf(value: unknown): RunDetail["modules"] {
  return (Array.isArray(value) ? value : []).flatMap((item) => {
    const row = objectOf(item);
    const module = textOf(row?.["module"]);
    return module === undefined ? [] : [{ module, rank: numberOf(row?.["rank"]) }];
  });
}

/** A CSV of ours; a last line that is being written is left out. */
export function tableIn(path: string | undefined, file: string): NumberTable {
  const text = path === undefined ? undefined : textIn(path, file);
  const lines = text
    ?.slice(0, text.lastIndexOf("\n") + 1)
    .trimEnd()
    .split("\n") ?? [""];
  const columns = lines[0]!.split(",");
  return {
    columns: lines[0] === "" ? [] : columns,
    rows: lines.slice(1).map((line) => {
      const row = rowOf(columns, line);
      return columns.map((column) => row[column] ?? null);
    }),
  };
}

/** Sizes by path, links left out. */
export function filesIn(path: string): { file: string; bytes: number }[] {
  try {
    return readdirSync(path, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .map((entry) => {
        const at = join(entry.parentPath, entry.name);
        return {
          file: relative(path, at).replaceAll("\\", "/"),
          bytes: lstatSync(at, { throwIfNoEntry: false })?.size ?? 0,
        };
      })
      .sort((a, b) => (a.file < b.file ? -1 : 1));
  } catch {
    return [];
  }
}
