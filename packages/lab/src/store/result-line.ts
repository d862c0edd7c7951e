/**
 * A finished run as one line of a file that is kept and committed: all of `result.json`, the config as it was resolved, what it took, the decision on
 * every item, the loss on its way and ranks over time. What is left out are weights, logits and the single steps. Absolute paths are
 * kept by their last part. The end of a line is a digest of the rest: what somebody changed, or a disk cut, is no result.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { parseJson } from "@lowrank/tensor/check";
import type { ResolvedConfig } from "../config/study.ts";
import { validate } from "../config/validate.ts";
import { asInput, InputError } from "../errors.ts";
import { measuresSchema, type FinishedRun, type RunMeasures } from "./measures.ts";
import { packed } from "./packed-json.ts";
import type { RunResult } from "./result.ts";
import { resultSchema } from "./result-schema.ts";
import { unpacked } from "./unpacked-json.ts";

/** Of a run that ended well, or of one that met a number that is not finite: its config, seed and data determine that, too. */
export type ResultLine = FinishedLine | DivergedLine;

interface LineOfRun {
  readonly study: string;
  /** Content of the code that computed it. */
  readonly code: string;
  /** Commit of the project that the code was checked out from, unchanged; null where that is not known. */
  readonly commit: string | null;
  /** As it was run; absolute paths by their last part. */
  readonly resolved: ResolvedConfig;
  /** What `env.json` says beside the host of `measured`. */
  readonly environment: Readonly<Record<string, unknown>>;
  /** Loss of training, the mean over as many steps as make 60 points at most: each is told by its last step. */
  readonly losses: readonly { readonly step: number; readonly loss: number }[];
}

export interface FinishedLine extends LineOfRun {
  readonly outcome: "finished";
  /** As `result.json` has it, key by key: `finishedOf` reads it. */
  readonly result: RunResult;
  /** `measures.json`: not determined, and nothing of it is compared. */
  readonly measured: RunMeasures;
  /** Null where items have no label of a class each. */
  readonly decisions: Decisions | null;
  /** Every evaluation on the way, a column each as in `metrics.csv`. */
  readonly evaluations: readonly Readonly<Record<string, number | null>>[];
  /** Ranks over time, 60 choices at most; null where they were fixed. */
  readonly ranks: RankSteps | null;
}

export interface DivergedLine extends LineOfRun {
  readonly outcome: "diverged";
  readonly run: Pick<RunResult, "id" | "cell" | "name" | "config" | "method" | "task" | "seed" | "device">;
  /** Which operation made the number, and where. */
  readonly message: string;
}

/** What was said of every item of the evaluation, and what is right: whole numbers. */
export interface Decisions {
  /** Rows of the data; absent: 0, 1, 2, … */
  readonly index?: readonly number[];
  readonly predicted: readonly number[];
  readonly labels: readonly number[];
}

export interface RankSteps {
  readonly modules: readonly string[];
  readonly steps: readonly {
    readonly step: number;
    readonly budget: number | null;
    readonly kept: number | null;
    /** By module. */
    readonly ranks: readonly (number | null)[];
  }[];
}

const FORMAT = 1;
const whole = z.number().int().min(0);
const text = z.string().min(1);
const cell = z.number().nullable();

const ofRun = {
  format: z.literal(FORMAT),
  study: z.string(),
  code: text,
  commit: text.nullable(),
  resolved: z.looseObject({ base: z.string().nullable() }),
  environment: z.looseObject({}),
  losses: z.array(z.object({ step: whole, loss: z.number() })),
};
const lineSchema = z.discriminatedUnion("outcome", [
  z.strictObject({
    outcome: z.literal("finished"),
    ...ofRun,
    result: resultSchema,
    measured: measuresSchema,
    decisions: z
      .strictObject({ index: z.array(whole).optional(), predicted: z.array(whole), labels: z.array(whole) })
      .refine(
        ({ index, predicted, labels }) =>
          predicted.length === labels.length && (index ?? labels).length === labels.length,
        "as many predictions as labels are needed",
      )
      .nullable(),
    evaluations: z.array(z.record(z.string(), cell)),
    ranks: z
      .strictObject({
        modules: z.array(text),
        steps: z.array(z.strictObject({ step: whole, budget: cell, kept: cell, ranks: z.array(cell) })),
      })
      .nullable(),
  }),
  z.strictObject({
    outcome: z.literal("diverged"),
    ...ofRun,
    run: z.strictObject({
      id: text,
      cell: text,
      name: text,
      config: text,
      method: text,
      task: text,
      seed: whole,
      device: text,
    }),
    message: text,
  }),
]) as unknown as z.ZodType<unknown>;

/** Hex digits of the digest. */
const SUM = 16;
/** In a line that was written to its end: JSON has no such piece within its strings. */
export const SUMMED: RegExp = new RegExp(`,"sum":"[0-9a-f]{${SUM}}"}`);
const END = new RegExp(`^(.*),"sum":"([0-9a-f]{${SUM}})"}$`);

/** The line, without its end. */
export function writeResultLine(line: ResultLine): string {
  // whose it is comes first
  const { outcome, study, ...rest } = line;
  const body = JSON.stringify(packed(JSON.parse(JSON.stringify({ format: FORMAT, outcome, study, ...rest }))));
  return `${body.slice(0, -1)},"sum":"${digest(body)}"}`;
}

/** @param where file and number of the line, for messages @throws InputError in one line, for what is not a whole line as it was written */
export function readResultLine(line: string, where: string): ResultLine {
  const [, start, sum] = END.exec(line) ?? [];
  if (start === undefined)
    throw new InputError(
      `${where}: is no line of results, or not a whole one; delete the line, and the run is made again`,
    );
  const body = `${start}}`;
  if (digest(body) !== sum)
    throw new InputError(
      `${where}: is not what was written (another digest at its end); take back the change, or delete the line`,
    );
  const said = asInput(() => parseJson(body, where)) as { readonly format?: unknown };
  if (said.format !== FORMAT)
    throw new InputError(
      `${where}: has the form ${JSON.stringify(said.format)}, and this version reads ${FORMAT}; use the version that wrote it`,
    );
  // what is read is told as it was written, and only looked through here
  const { format: _, ...kept } = unpackedAt(said, where) as ResultLine & { readonly format: number };
  validate(lineSchema, { ...kept, format: FORMAT }, where);
  return kept as ResultLine;
}

/** The run of a finished line, as its folder would tell it. */
export function finishedOf({ result, study, resolved, measured }: FinishedLine): FinishedRun {
  const read = validate(resultSchema, result, result.name);
  return { ...read, study, resolved, measures: validate(measuresSchema, measured, result.name) };
}

/** What both kinds of lines know of their run. */
export function runOf(line: ResultLine): DivergedLine["run"] {
  return line.outcome === "finished" ? line.result : line.run;
}

function unpackedAt(value: unknown, where: string): unknown {
  try {
    return unpacked(value);
  } catch (error) {
    // with a digest that fits, nobody but a program writes this
    throw new InputError(`${where}: ${(error as Error).message}; delete the line, and the run is made again`, {
      cause: error,
    });
  }
}

function digest(content: string): string {
  return createHash("sha256").update(content).digest("hex").slice(0, SUM);
}
