/** What may be said of a training in code. */
import type { Where } from "@lowrank/models";
import { quote, type Device } from "@lowrank/tensor";
import { suggestion } from "@lowrank/tensor/check";
import { z } from "zod";
import { TRAIN_DEFAULTS, trainOverrides } from "../config/train.ts";
import type { MethodConfig, ResolvedConfig, TrainOverrides } from "../config/study.ts";
import { validate } from "../config/validate.ts";
import type { ColumnWords } from "../data/table/columns.ts";
import { InputError } from "../errors.ts";
import { methods } from "../methods/registry.ts";
import type { RowTask } from "../records/row-task.ts";
import type { Fraction } from "../tasks/rows/prepare.ts";
import type { RowData } from "./data.ts";

/** What is told on the way. */
export type FitProgress =
  | { readonly kind: "step"; readonly step: number; readonly steps: number; readonly loss: number; readonly lr: number }
  | { readonly kind: "evaluation"; readonly step: number; readonly evaluation: Readonly<Record<string, number>> };

export interface FitOptions {
  /** Name of a task on rows. Default `text-classification`. */
  readonly task?: string;
  /** The task's own words: `labels`, `classWeights`, … */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Which column is what, by role: `{ text: "review", label: "stars" }`. Guessed where only one can be meant. */
  readonly columns?: ColumnWords;
  /** Most tokens of a text. Default 128; 384 for question-answering. */
  readonly maxLength?: number;
  /** Rows to evaluate on, or the share that is held out for it. Default a tenth. */
  readonly validation?: RowData | Partial<Fraction>;
  /** What trains, in a study's words, or a method's name. Default LoRA of rank 8 on every linear layer. */
  readonly method?: string | ({ readonly method: string } & Readonly<Record<string, unknown>>);
  /** How it trains, in a study's words: `{ epochs: 3, batchSize: 32, lr: 5e-4 }`. */
  readonly train?: TrainOverrides;
  /** Metrics by name. Default the task's. */
  readonly metrics?: readonly string[];
  /** Of everything that is drawn. Default 0. */
  readonly seed?: number;
  /** Default: the best one that there is. */
  readonly device?: Device;
  /** Branch, tag or commit of a model of the hub. */
  readonly revision?: string;
  /** Where the tokenizer is. Default: beside the base. */
  readonly tokenizer?: Where;
  /** Text of the template by which chats are written, in place of the checkpoint's. */
  readonly chatTemplate?: string;
  /** Told of every step and evaluation. */
  readonly onProgress?: (progress: FitProgress) => void;
  /** Receives lines about the data: what was guessed, and what is odd. */
  readonly say?: (line: string) => void;
}

const KEYS: Readonly<Record<keyof FitOptions, true>> = {
  task: true,
  options: true,
  columns: true,
  maxLength: true,
  validation: true,
  method: true,
  train: true,
  metrics: true,
  seed: true,
  device: true,
  revision: true,
  tokenizer: true,
  chatTemplate: true,
  onProgress: true,
  say: true,
};

/** @throws InputError for a key that would be ignored, with where it goes */
export function checkFitOptions(options: FitOptions): void {
  const stranger = Object.keys(options).find((key) => !Object.hasOwn(KEYS, key));
  if (stranger === undefined) return;
  const ofTraining = Object.hasOwn((trainOverrides as unknown as z.ZodObject).shape, stranger);
  throw new InputError(
    `fit: there is no option ${quote(stranger)}${ofTraining ? `; say train: { ${stranger}: … }` : suggestion(stranger, Object.keys(KEYS))}`,
  );
}

/** The usual: small, and near the quality of full fine-tuning. */
const USUAL_METHOD = "lora";

/** A method by its name alone sits on every linear layer, as in `lowrank train`; where it scales, modules have to be said. */
function methodSaid(said: NonNullable<FitOptions["method"]>, head: readonly string[]): { readonly method: string } {
  if (typeof said !== "string") {
    if (typeof said?.method === "string") return said;
    throw new InputError(`fit: method says no name; say { method: NAME, … } with one of ${methods.names.join(", ")}`);
  }
  const { shape } = methods.get(said).schema({ head });
  const everywhere = Object.hasOwn(shape, "target") && !Object.hasOwn(shape, "feedforward");
  return { method: said, ...(everywhere ? { target: "all-linear" } : {}) };
}

/** The configuration that a study would have for it. @param head modules of the head */
export function configOf(
  task: RowTask,
  { method: given = USUAL_METHOD, train = {}, options = {} }: FitOptions,
  head: readonly string[],
): ResolvedConfig {
  const said = methodSaid(given, head);
  const record = methods.get(said.method);
  const method = validate(record.schema({ head }), said, "fit: method") as unknown as MethodConfig;
  const wrong = record.check?.(method, "method");
  if (wrong !== undefined) throw new InputError(`fit: ${wrong}`);
  return {
    name: "fit",
    task: { name: task.name, ...validate(z.strictObject(task.options), options, "fit: options") },
    base: null,
    model: null,
    method: { ...method, train: {} },
    // as `lowrank train` does it
    train: {
      ...TRAIN_DEFAULTS,
      grouping: "within-batch",
      ...validate(trainOverrides, train, "fit: train"),
    } as ResolvedConfig["train"],
  };
}
