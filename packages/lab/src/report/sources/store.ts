/** Finished runs of folders that `lowrank run` filled. What is read of a run is held against its digests; weights are not read. */
import { join } from "node:path";
import { DivergedError, InputError } from "../../errors.ts";
import { checkDigests } from "../../store/digests.ts";
import { readFinished } from "../../store/finished-run.ts";
import type { Store } from "../../store/find-stores.ts";
import { readEntry, runFolders, type RunEntry } from "../../store/read-runs.ts";
import { objectIn, textIn, textOf } from "../../store/run-files.ts";
import type { DivergedRun, FoundRuns, ReportRun } from "../run.ts";
import { curveOf } from "./curve.ts";
import { judgedIn } from "./judged.ts";

const FIX = "move the folder away or delete it, and the run is made again";
/** What is read beside a result; all of it is listed among the digests. */
const READ: ReadonlySet<string> = new Set(["env.json", "steps.csv", "predictions.jsonl"]);

/** @throws InputError for a run that is not what was written: nobody should believe a report of such */
export function storeRuns(stores: readonly Store[]): FoundRuns {
  const [runs, diverged, left]: [ReportRun[], DivergedRun[], RunEntry[]] = [[], [], []];
  for (const { folder } of stores)
    for (const name of runFolders(folder)) {
      if (!name.startsWith(".")) {
        const run = readReportRun(join(folder, name), name);
        if (run !== undefined) runs.push(run);
        continue;
      }
      const entry = readEntry(folder, name);
      const { config, study, seed, state, why } = entry;
      if (isDiverged(join(folder, name)) && config !== undefined && study !== undefined && seed !== undefined)
        diverged.push({
          study,
          config,
          seed,
          code: textOf(objectIn(join(folder, name), "env.json")?.["code"]),
          why: why ?? "",
        });
      else if (state !== "set-aside") left.push(entry);
    }
  return { runs, diverged, notes: leftOut(left) };
}

const DIVERGED = new DivergedError("").name;

/** A number that is not finite ended it: its config, seed and data decide that. */
function isDiverged(folder: string): boolean {
  return textOf(objectIn(folder, "error.json")?.["name"]) === DIVERGED;
}

function readReportRun(folder: string, name: string): ReportRun | undefined {
  const finished = readFinished(folder, name, true);
  if (finished === undefined) return undefined;
  checkDigests(folder, FIX, (file) => READ.has(file));
  const environment = objectIn(folder, "env.json");
  const code = textOf(environment?.["code"]);
  if (code === undefined) throw new InputError(`${folder}: env.json does not say what code made the run; ${FIX}`);
  return {
    ...finished,
    code,
    commit: textOf(environment?.["commit"]) ?? null,
    curve: curveOf(textIn(folder, "steps.csv") ?? ""),
    judged: once(() => judgedIn(textIn(folder, "predictions.jsonl") ?? "")),
  };
}

/** What several claims ask for is read when the first does. */
function once<T>(read: () => T): () => T {
  let known: { readonly value: T } | undefined;
  return () => (known ??= { value: read() }).value;
}

/** One line for each state. */
function leftOut(entries: readonly RunEntry[]): string[] {
  return [...new Set(entries.map(({ state }) => state))].map((state) => {
    const names = entries.filter((entry) => entry.state === state).map(({ name }) => name);
    const more = names.length > 3 ? ` and ${names.length - 3} more` : "";
    return `Left out, since ${names.length === 1 ? "it is" : "they are"} ${state}: ${names.slice(0, 3).join(", ")}${more}.`;
  });
}
