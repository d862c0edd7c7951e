/** Finished runs of folders that `lowrank run` filled. What is read of a run is held against its digests; weights are not read. */
import { join } from "node:path";
import { InputError } from "../../errors.ts";
import { checkDigests } from "../../store/digests.ts";
import { readFinished } from "../../store/finished-run.ts";
import type { Store } from "../../store/find-stores.ts";
import { readEntry, runFolders, type RunEntry } from "../../store/read-runs.ts";
import { objectIn, textIn, textOf } from "../../store/run-files.ts";
import { triedFor, type AstrayRate, type FoundRuns, type ReportRun } from "../run.ts";
import { curveOf } from "./curve.ts";
import { rightIn } from "./right.ts";

const FIX = "move the folder away or delete it, and the run is made again";
/** What is read beside a result; all of it is listed among the digests. */
const READ: ReadonlySet<string> = new Set(["env.json", "steps.csv", "predictions.jsonl"]);

/** @throws InputError for a run that is not what was written: nobody should believe a report of such */
export function storeRuns(stores: readonly Store[]): FoundRuns {
  const [runs, astray, left]: [ReportRun[], AstrayRate[], RunEntry[]] = [[], [], []];
  for (const { folder } of stores)
    for (const name of runFolders(folder)) {
      if (!name.startsWith(".")) {
        const run = readReportRun(join(folder, name), name);
        if (run !== undefined) runs.push(run);
        continue;
      }
      const entry = readEntry(folder, name);
      const { config, study, state, why } = entry;
      if (state === "failed" && config !== undefined && study !== undefined && triedFor(config) !== undefined)
        astray.push({ study, config, why: why ?? "failed" });
      else if (state !== "set-aside") left.push(entry);
    }
  return { runs, astray, notes: leftOut(left) };
}

function readReportRun(folder: string, name: string): ReportRun | undefined {
  const finished = readFinished(folder, name, true);
  if (finished === undefined) return undefined;
  checkDigests(folder, FIX, (file) => READ.has(file));
  const code = textOf(objectIn(folder, "env.json")?.["code"]);
  if (code === undefined) throw new InputError(`${folder}: env.json does not say what code made the run; ${FIX}`);
  return {
    ...finished,
    code,
    curve: curveOf(textIn(folder, "steps.csv") ?? ""),
    right: () => rightIn(textIn(folder, "predictions.jsonl") ?? ""),
  };
}

/** One line for each state. */
function leftOut(entries: readonly RunEntry[]): string[] {
  return [...new Set(entries.map(({ state }) => state))].map((state) => {
    const names = entries.filter((entry) => entry.state === state).map(({ name }) => name);
    const more = names.length > 3 ? ` and ${names.length - 3} more` : "";
    return `Left out, since ${names.length === 1 ? "it is" : "they are"} ${state}: ${names.slice(0, 3).join(", ")}${more}.`;
  });
}
