/** All finished runs of a folder: of stores in it, and of result lines. What is in both is told once (`group.ts`). */
import { InputError } from "../../errors.ts";
import { findStores } from "../../store/find-stores.ts";
import { cut } from "../../text/shown.ts";
import { divergedWords } from "../diverged.ts";
import type { FoundRuns } from "../run.ts";
import { lineRuns } from "./lines.ts";
import { storeRuns } from "./store.ts";

/** @throws InputError where there is neither, or something is not what was written */
export function foundRuns(folder: string): FoundRuns {
  const parts = [storeRuns(findStores(folder)), lineRuns(folder)];
  const found: FoundRuns = {
    runs: parts.flatMap(({ runs }) => runs),
    diverged: parts.flatMap(({ diverged }) => diverged),
    notes: parts.flatMap(({ notes }) => notes),
  };
  if (found.runs.length === 0 && found.diverged.length > 0)
    throw new InputError(
      `${cut(folder)}: no run here came to a result, so there is nothing to report on: ${divergedWords(found.diverged)}`,
    );
  if (found.runs.length === 0)
    throw new InputError(
      `${cut(folder)}: holds no finished run; give the folder that "lowrank run" had as --out, or one with result lines (*.jsonl)`,
    );
  return found;
}
