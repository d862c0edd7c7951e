/** Makes the line that is kept of a run (`result-line.ts`) of what its folder holds. */
import { join } from "node:path";
import { parseJson } from "@lowrank/tensor/check";
import { z } from "zod";
import { validate } from "../config/validate.ts";
import { readText } from "../data/read-file.ts";
import { asInput } from "../errors.ts";
import { CONFIG, ENVIRONMENT, RESULT } from "./finished-run.ts";
import type { FinishedRun } from "./measures.ts";
import { tableIn, type NumberTable } from "./read-run.ts";
import type { Decisions, DivergedLine, FinishedLine, RankSteps } from "./result-line.ts";
import { configSchema } from "./result-schema.ts";
import { parsedObject, textIn } from "./run-files.ts";
import { FIRST_MODULE } from "./rank-map.ts";
import { withoutPaths } from "./without-paths.ts";

/** Points that are kept of what has more. */
const MOST_POINTS = 60;
const LARGEST = 2 ** 26;

const environmentSchema = z.looseObject({
  code: z.string().min(1),
  commit: z.string().min(1).nullable().default(null),
});

/**
 * @param folder of the run, whose digests have been checked
 * @param done what was read of it
 * @throws InputError where a file of it cannot be read
 */
export function lineOfRun(folder: string, { resolved, measures, study }: FinishedRun): FinishedLine {
  return {
    outcome: "finished",
    study,
    // as the file has it, with what this version may not know
    result: readObject(folder, RESULT) as unknown as FinishedLine["result"],
    decisions: decisionsIn(folder),
    evaluations: rowsOf(tableIn(folder, "metrics.csv")),
    ranks: ranksIn(folder),
    resolved: withoutPaths(resolved),
    measured: measures,
    ...ofFolder(folder, Object.keys(measures.host)),
  };
}

/** @param folder what a run left that met a number that is not finite @param run what its plan knows of it */
export function lineOfDiverged(folder: string, run: DivergedLine["run"], message: string): DivergedLine {
  const { study, seed: _, ...resolved } = validate(configSchema, readObject(folder, CONFIG), join(folder, CONFIG));
  const { id, cell, name, config, method, task, seed, device } = run;
  return {
    outcome: "diverged",
    study,
    run: { id, cell, name, config, method, task, seed, device },
    message,
    resolved: withoutPaths(resolved),
    ...ofFolder(folder, []),
  };
}

function ofFolder(
  folder: string,
  host: readonly string[],
): Pick<FinishedLine, "code" | "commit" | "environment" | "losses"> {
  const said = readObject(folder, ENVIRONMENT);
  const { code, commit, ...machine } = validate(environmentSchema, said, join(folder, ENVIRONMENT));
  const environment = Object.fromEntries(Object.entries(machine).filter(([key]) => !host.includes(key)));
  return { code, commit, environment, losses: lossesOf(tableIn(folder, "steps.csv")) };
}

function readObject(folder: string, file: string): Readonly<Record<string, unknown>> {
  const path = join(folder, file);
  return asInput(() => parseJson(readText(path, LARGEST), path)) as Record<string, unknown>;
}

/** The mean over runs of steps of one length, told by the last of them. */
function lossesOf({ columns, rows }: NumberTable): FinishedLine["losses"] {
  const [step, loss] = [columns.indexOf("step"), columns.indexOf("loss")];
  const known = rows.flatMap((row) => {
    const [at, value] = [row[step], row[loss]];
    return typeof at === "number" && typeof value === "number" ? [{ at, value }] : [];
  });
  const length = Math.max(1, Math.ceil(known.length / MOST_POINTS));
  return Array.from({ length: Math.ceil(known.length / length) }, (_, i) => {
    const part = known.slice(i * length, (i + 1) * length);
    const mean = part.reduce((sum, { value }) => sum + value, 0) / part.length;
    return { step: part.at(-1)!.at, loss: Number(mean.toPrecision(LOSS_DIGITS)) };
  });
}

/** Of a curve; the loss of evaluations is kept as it is. */
const LOSS_DIGITS = 5;

function rowsOf({ columns, rows }: NumberTable): FinishedLine["evaluations"] {
  return rows.map((row) => Object.fromEntries(columns.map((column, c) => [column, row[c] ?? null])));
}

/** The first choice, the last, and as many between as there is room for. */
function ranksIn(folder: string): RankSteps | null {
  const { columns, rows } = tableIn(folder, "ranks.csv");
  if (rows.length === 0) return null;
  const points = Math.min(MOST_POINTS, rows.length);
  const chosen = Array.from(
    { length: points },
    (_, i) => rows[Math.round((i * (rows.length - 1)) / Math.max(1, points - 1))]!,
  );
  return {
    modules: columns.slice(FIRST_MODULE),
    steps: chosen.map(([step, budget, kept, ...ranks]) => ({
      step: step!,
      budget: budget ?? null,
      kept: kept ?? null,
      ranks,
    })),
  };
}

/** Null where some item has not one class as its label and one as its prediction. */
function decisionsIn(folder: string): Decisions | null {
  const lines = textIn(folder, "predictions.jsonl", LARGEST)?.trimEnd().split("\n") ?? [""];
  const items = lines.map((line) => parsedObject(line));
  const column = (key: string): number[] | undefined => {
    const values = items.map((item) => item?.[key]);
    return values.every((value): value is number => Number.isInteger(value) && (value as number) >= 0)
      ? values
      : undefined;
  };
  const [index, predicted, labels] = [column("index"), column("prediction"), column("label")];
  if (index === undefined || predicted === undefined || labels === undefined) return null;
  return { ...(index.every((at, i) => at === i) ? {} : { index }), predicted, labels };
}
