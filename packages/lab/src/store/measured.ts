/**
 * Figures that are measured apart from the runs of a study, since what they tell is of no use beside other work: memory of a fresh process, time of
 * interleaved steps. A bench writes them as JSON:
 *
 *   { "format": 1, "what": "BERT-base's shape, random weights, 32 × 128", "host": "2 cores of …", "code": "3f…",
 *     "figures": [{ "name": "step-time", "label": "time per step", "unit": "seconds", "exact": false,
 *                   "definition": "median of 20 steps, all configs by turns, 7 rounds", "values": { "b-fp": [0.61, …], "b-ada": [0.70, …] } }] }
 */
import { parseJson } from "@lowrank/tensor/check";
import { z } from "zod";
import { validate } from "../config/validate.ts";
import { readText } from "../data/read-file.ts";
import { asInput } from "../errors.ts";

export interface MeasuredFigure {
  /** What claims call it. */
  readonly name: string;
  /** In words: "peak resident memory". */
  readonly label: string;
  readonly unit: "bytes" | "seconds";
  /** How it was measured, in a sentence or two. */
  readonly definition: string;
  /** Computed and not sampled: one value tells all. */
  readonly exact: boolean;
  /** By config, a value for each round; round i of all configs belongs together. */
  readonly values: Readonly<Record<string, readonly number[]>>;
}

export interface Measured {
  readonly format: 1;
  /** Shape, data and sizes that it holds for. */
  readonly what: string;
  readonly host: string;
  /** Content hash of the code that was measured. */
  readonly code: string;
  readonly figures: readonly MeasuredFigure[];
}

const text = z.string().min(1);
const schema = z.strictObject({
  format: z.literal(1),
  what: text,
  host: text,
  code: text,
  figures: z
    .array(
      z.strictObject({
        name: text,
        label: text,
        unit: z.enum(["bytes", "seconds"]),
        definition: text,
        exact: z.boolean().default(false),
        values: z.record(text, z.array(z.number().positive()).min(1)),
      }),
    )
    .min(1),
}) as unknown as z.ZodType<Measured>;

const LARGEST = 2 ** 22;

/** @throws InputError where the file holds something else */
export function readMeasured(path: string): Measured {
  return validate(
    schema,
    asInput(() => parseJson(readText(path, LARGEST), path)),
    path,
  );
}
