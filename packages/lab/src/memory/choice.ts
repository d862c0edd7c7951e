/** `memory.json`: the way in which a study computes its batches, chosen once, before its first step, and read by whoever goes on with it. */
import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseJson } from "@lowrank/tensor/check";
import { z } from "zod";
import { canonicalHash } from "../config/canonical.ts";
import type { Study } from "../config/study.ts";
import { validate } from "../config/validate.ts";
import { readText } from "../data/read-file.ts";
import { InputError } from "../errors.ts";
import { formatBytes } from "../text/format.ts";
import type { Way } from "./ways.ts";

export interface MemoryChoice {
  readonly version: 1;
  /** Of the study it was made for, seeds left out. */
  readonly study: string;
  /** What there was, and whether it was said or free. */
  readonly memoryBytes: number;
  readonly said: boolean;
  /** Null: batches as the study has them. */
  readonly way: Way | null;
  /** Planned; null where nothing had to be planned. */
  readonly peakBytes: number | null;
  /** For people. */
  readonly text: string;
}

const NAME = "memory.json";
const LARGEST = 2 ** 20;

const schema: z.ZodType<MemoryChoice> = z.strictObject({
  version: z.literal(1),
  study: z.string(),
  memoryBytes: z.number().positive(),
  said: z.boolean(),
  way: z.strictObject({ rows: z.number().int().min(1), recompute: z.boolean() }).nullable(),
  peakBytes: z.number().nullable(),
  text: z.string(),
});

/** Where it is in the folder of a study. */
export function choicePath(out: string): string {
  return join(out, NAME);
}

/** Where it is beside lines of finished runs: on another machine, too, they are of runs of this way. */
export function keptChoicePath(results: string, study: string): string {
  return join(results, `${study}.${NAME}`);
}

/** What decides how much memory a study's runs take. */
export function studyKey({ task, tasks, base, revision, model, train, configs }: Study, device: string): string {
  return canonicalHash({ task, tasks, base, revision, model, train, configs, device });
}

/**
 * The choice that was made for this study and is in the file.
 * @param said bytes of `--memory`, which must be those that it was made for
 * @throws InputError for a file that nobody wrote so, or another `--memory`
 */
export function readChoice(path: string, key: string, said: number | undefined): MemoryChoice | undefined {
  if (!existsSync(path)) return undefined;
  const choice = validate(schema, parseJson(readText(path, LARGEST), path), path);
  // of another study: this one makes its own
  if (choice.study !== key) return undefined;
  if (said !== undefined && choice.memoryBytes !== said)
    throw new InputError(
      `--memory: the study in ${dirname(path)} was begun for ${formatBytes(choice.memoryBytes)}${choice.said ? "" : ", which were free"}; leave it out to go on, or give another --out`,
    );
  return choice;
}

/** Writes the choice, unless another process has made one meanwhile, which then counts. */
export function writeChoice(path: string, choice: MemoryChoice): MemoryChoice {
  const before = readChoice(path, choice.study, undefined);
  if (before !== undefined) return before;
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, `${JSON.stringify(choice, null, 2)}\n`);
  renameSync(temporary, path);
  return readChoice(path, choice.study, undefined) ?? choice;
}
