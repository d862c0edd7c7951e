/**
 * What is in a store, a line for each run: finished, being made, interrupted, failed, damaged, or nothing of ours. Reads what a line needs and no
 * digests; nothing that is found makes it fail. All of one run: `read-run.ts`.
 */
import { lstatSync, readdirSync, type Dirent } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { metricNames, metricOf } from "../metrics/of-evaluation.ts";
import { isAlive } from "./processes.ts";
import {
  DIGEST_CELLS,
  firstLine,
  isListed,
  lastRow,
  numberOf,
  objectIn,
  objectOf,
  parsedObject,
  textIn,
  textOf,
} from "./run-files.ts";

export const RUN_STATES = ["finished", "working", "interrupted", "failed", "set-aside", "damaged", "foreign"] as const;
export type RunState = (typeof RUN_STATES)[number];

/** Who makes a run. */
export interface RunHolder {
  readonly host: string;
  readonly pid: number;
}

/** One run of a store as a list shows it. What is not known is left out. */
export interface RunEntry {
  /** The run's name, without what its folder's name says of its state. */
  readonly name: string;
  /** Its folder in the store. */
  readonly folder: string;
  readonly state: RunState;
  readonly study?: string | undefined;
  readonly config?: string | undefined;
  readonly method?: string | undefined;
  readonly task?: string | undefined;
  readonly seed?: number | undefined;
  readonly step?: number | undefined;
  /** Steps that were planned. */
  readonly steps?: number | undefined;
  /** Of the evaluation of what a finished run left; else of the last step. */
  readonly loss?: number | undefined;
  /** Of that evaluation, or the last one. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly seconds?: number | undefined;
  /** When something was last written, in milliseconds since 1970. */
  readonly changed: number;
  readonly holder?: RunHolder | undefined;
  /** What is wrong. */
  readonly why?: string | undefined;
  /** What a finished run warns of. */
  readonly warnings?: readonly string[] | undefined;
}

/** What a folder's name says of its state, before what is in it does. */
const PREFIXES: readonly (readonly [string, RunState])[] = [
  [".work-", "interrupted"],
  [".failed-", "failed"],
  [".set-aside-", "set-aside"],
  [".gc-", "set-aside"],
  [".tmp-", "interrupted"],
];
/** A lock of another machine's that is older than this is nobody's any more. */
const HELD_MS = 600_000;

/** All runs of `<out>/runs`, by folder. Empty where there is no such folder. */
export function readRuns(folder: string): RunEntry[] {
  return runFolders(folder).map((name) => readEntry(folder, name));
}

/** Folders of a store that are of runs, or in the place of one. */
export function runFolders(folder: string): string[] {
  let found: Dirent[];
  try {
    found = readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
  const isOurs = (name: string): boolean =>
    !name.startsWith(".") || PREFIXES.some(([prefix]) => name.startsWith(prefix));
  return found
    .filter((entry) => (entry.isDirectory() || entry.isSymbolicLink()) && isOurs(entry.name))
    .map(({ name }) => name)
    .sort();
}

/** The line of one of `runFolders`; of one that is gone by now, that of a folder with nothing in it. */
export function readEntry(store: string, folder: string): RunEntry {
  const path = join(store, folder);
  if (isLink(path)) return { ...bare(folder, "foreign", path), why: "is a link, which is not followed" };
  const [prefix, state] = PREFIXES.find(([start]) => folder.startsWith(start)) ?? [];
  return state === undefined ? finished(path, folder) : unfinished(path, folder, prefix!, state);
}

export function isLink(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
  } catch {
    return false;
  }
}

function bare(folder: string, state: RunState, path: string): RunEntry {
  return { name: folder, folder, state, metrics: {}, changed: changedAt(path) };
}

function finished(path: string, folder: string): RunEntry {
  const text = textIn(path, "result.json");
  const sums = textIn(path, "SHA256SUMS");
  if (text === undefined) {
    if (isListed(sums, "result.json"))
      return { ...bare(folder, "damaged", path), ...configured(path), why: "result.json is missing" };
    const entry = bare(folder, "foreign", path);
    return { ...entry, ...configured(path), why: "holds no result: no run, or not a whole one" };
  }
  const result = parsedObject(text);
  const final = objectOf(result?.["final"]);
  const name = textOf(result?.["name"]);
  const damage =
    result === undefined
      ? "result.json cannot be read"
      : final === undefined || name === undefined || textOf(result["config"]) === undefined
        ? "result.json lacks what every result has"
        : name !== folder
          ? `is a copy of the run ${name} under another name`
          : (unlisted(path, sums) ?? mismeasured(path, result));
  const known = configured(path);
  if (damage !== undefined || result === undefined || final === undefined)
    return { ...bare(folder, "damaged", path), ...known, why: damage };
  // earlier versions measured into the result
  const seconds = objectOf(result["seconds"]) ?? objectOf(objectIn(path, "measures.json")?.["seconds"]);
  return {
    name: folder,
    folder,
    state: "finished",
    ...known,
    study: known.study ?? textOf(result["study"]),
    config: textOf(result["config"]),
    method: textOf(result["method"]),
    task: textOf(result["task"]),
    seed: numberOf(result["seed"]),
    step: numberOf(result["steps"]),
    steps: numberOf(objectOf(result["stopped"])?.["of"]) ?? numberOf(result["steps"]),
    loss: numberOf(final["loss"]),
    metrics: Object.fromEntries(metricNames(final).map((metric) => [metric, metricOf(final, metric)])),
    seconds: numberOf(seconds?.["total"]),
    changed: changedAt(join(path, "result.json")),
    warnings: Array.isArray(result["warnings"])
      ? result["warnings"].filter((line) => typeof line === "string")
      : undefined,
  };
}

/** What the folder has itself that its digests do not name, or the other way; content is not read. */
function unlisted(path: string, sums: string | undefined): string | undefined {
  if (sums === undefined) return undefined;
  const listed = new Set(sums.split("\n").map((line) => line.slice(DIGEST_CELLS)));
  let found: Dirent[];
  try {
    found = readdirSync(path, { withFileTypes: true });
  } catch {
    return undefined;
  }
  const more = found.find(
    (entry) =>
      !entry.isDirectory() &&
      entry.name !== "SHA256SUMS" &&
      !/^\.lock(\.|$)/.test(entry.name) &&
      !listed.has(entry.name),
  );
  if (more !== undefined) return `${more.name} is not listed in SHA256SUMS`;
  const names = new Set(found.map(({ name }) => name));
  const missing = [...listed].find((file) => file !== "" && !names.has(file.split("/")[0]!));
  return missing === undefined ? undefined : `${missing} is missing`;
}

/** The least of what `measuresSchema` asks for, without the reader of schemas, whose start takes longer than a list. */
function mismeasured(path: string, result: Readonly<Record<string, unknown>>): string | undefined {
  const file = "seconds" in result ? "result.json" : "measures.json";
  const measures = file === "result.json" ? result : objectIn(path, file);
  const [seconds, memory] = [objectOf(measures?.["seconds"]), objectOf(measures?.["memory"])];
  const split = objectOf(memory?.["split"]);
  const numbers = [
    ...["total", "training", "perStep"].map((key) => seconds?.[key]),
    ...["arenaBytes", "persistentBytes", "peakRssBytes"].map((key) => memory?.[key]),
    ...["frozenWeights", "trainableWeights", "optimizerState", "activationsAndGradients"].map((key) => split?.[key]),
  ];
  return numbers.every((value) => numberOf(value) !== undefined) ? undefined : `${file} is not what a run measures`;
}

/** What `config.json` says of a run. */
function configured(path: string): Pick<RunEntry, "study" | "config" | "method" | "task" | "seed" | "steps"> {
  const config = objectIn(path, "config.json");
  return {
    study: textOf(config?.["study"]),
    config: textOf(config?.["name"]),
    method: textOf(objectOf(config?.["method"])?.["method"]),
    task: textOf(objectOf(config?.["task"])?.["name"]),
    seed: numberOf(config?.["seed"]),
    steps: numberOf(objectOf(config?.["train"])?.["steps"]),
  };
}

/** Columns of `metrics.csv` beside the task's metrics. */
export const EVALUATION_COLUMNS: ReadonlySet<string> = new Set([
  "step",
  "epoch",
  "lr",
  "train_loss",
  "grad_norm",
  "eval_loss",
  "seconds",
]);

function unfinished(path: string, folder: string, prefix: string, kept: RunState): RunEntry {
  const known = configured(path);
  const started = parsedObject(firstLine(path, "events.jsonl") ?? "");
  const [step, evaluated] = [lastRow(path, "steps.csv"), lastRow(path, "metrics.csv")];
  const holder = kept === "interrupted" ? holderOf(path, folder, prefix) : undefined;
  const state = holder === undefined ? kept : "working";
  return {
    name: nameOf(folder, prefix),
    folder,
    state,
    ...known,
    steps: numberOf(started?.["steps"]) ?? known.steps,
    step: step?.["step"] ?? evaluated?.["step"],
    loss: step?.["loss"] ?? evaluated?.["train_loss"],
    metrics: Object.fromEntries(Object.entries(evaluated ?? {}).filter(([column]) => !EVALUATION_COLUMNS.has(column))),
    seconds: evaluated?.["seconds"],
    changed: Math.max(...["steps.csv", "metrics.csv", "events.jsonl", ""].map((file) => changedAt(join(path, file)))),
    holder,
    ...(state === "failed" ? { why: textOf(objectIn(path, "error.json")?.["message"]) } : {}),
  };
}

/** `.tmp-<name>-<pid>-<8 digits>` and `.set-aside-<name>-<8 digits>` say more than the name. */
function nameOf(folder: string, prefix: string): string {
  const name = folder.slice(prefix.length);
  if (prefix === ".tmp-") return name.replace(/-\d+-[0-9a-f]{8}$/, "");
  return prefix === ".set-aside-" || prefix === ".gc-" ? name.replace(/-[0-9a-f]{8}$/, "") : name;
}

/** The living process that makes the run. */
function holderOf(path: string, folder: string, prefix: string): RunHolder | undefined {
  if (prefix === ".tmp-") {
    const pid = Number(/-(\d+)-[0-9a-f]{8}$/.exec(folder)?.[1]);
    return pid > 0 && isAlive(pid) ? { host: hostname(), pid } : undefined;
  }
  const lock = objectIn(path, ".lock");
  const [host, pid] = [textOf(lock?.["host"]), numberOf(lock?.["pid"])];
  if (host === undefined || pid === undefined) return undefined;
  const lives =
    host === hostname()
      ? isAlive(pid, textOf(lock?.["started"]) ?? null)
      : Date.now() - changedAt(join(path, ".lock")) < HELD_MS;
  return lives ? { host, pid } : undefined;
}

function changedAt(path: string): number {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  } catch {
    return 0;
  }
}
