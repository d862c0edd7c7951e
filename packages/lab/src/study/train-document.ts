/** From the words of `lowrank train` to the study of one configuration that they mean. */
import { quote } from "@lowrank/tensor";
import { suggestion } from "@lowrank/tensor/check";
import { dropoutsOf } from "../bases/dropout.ts";
import { planOf, shapeModel } from "../bases/plan.ts";
import type { Storage } from "../config/study.ts";
import { InputError } from "../errors.ts";
import { halvesOf } from "../methods/places.ts";
import { methods } from "../methods/registry.ts";
import { onFiles } from "../tasks/guess.ts";
import { tasks } from "../tasks/registry.ts";
import { cut } from "../text/shown.ts";

export interface TrainWords {
  readonly task: string;
  readonly base: string;
  readonly revision?: string | undefined;
  readonly data: string;
  readonly validation?: string | undefined;
  readonly column?: readonly string[] | undefined;
  readonly method: string;
  readonly storage?: Storage | undefined;
  readonly rank?: number | undefined;
  readonly alpha?: number | undefined;
  readonly target?: string | undefined;
  readonly lr?: number | undefined;
  readonly epochs?: number | undefined;
  readonly batchSize?: number | undefined;
  readonly maxLength?: number | undefined;
  readonly seed?: number | undefined;
  readonly keep?: "last" | "best" | undefined;
  readonly earlyStop?: number | undefined;
}

/** What a model's parts are told from does not depend on sizes. */
const SMALLEST = { vocab: 1, positions: 1, labels: 2 };

/** DoRA is a word for a switch of LoRA. */
const SHORT: Readonly<Record<string, Readonly<Record<string, unknown>>>> = { dora: { method: "lora", dora: true } };

/** A study as YAML would have it; its one config is called as the method. @throws InputError for a word that the method has no use for */
export async function trainDocument(words: TrainWords): Promise<Record<string, unknown>> {
  const { base, revision, seed = 0 } = words;
  return defined({
    name: "train",
    task: taskOptions(words),
    base,
    revision,
    seeds: [seed],
    train: defined({
      // batches as a shuffle deals them: where rows of like length meet, each step learns of one length (benchmarks/NOTES.md)
      grouping: "within-batch",
      lr: words.lr,
      epochs: words.epochs,
      batchSize: words.batchSize,
      keep: words.keep,
      earlyStop: words.earlyStop === undefined ? undefined : { patience: words.earlyStop },
    }),
    configs: { [words.method]: { ...(await methodOptions(words)), ...(await dropoutOf(words)) } },
  });
}

/**
 * An adapter whose rows are seen once cannot have learnt them by heart, which is what dropout is against; what is left of it is noise (Liu et
 * al. 2025, arXiv 2505.24788, of pre-training in one epoch; benchmarks/NOTES.md for adapters). So the base's own is switched off there.
 */
async function dropoutOf(words: TrainWords): Promise<{ readonly baseDropout?: 0 }> {
  const { epochs, method, base, revision, task } = words;
  const { leaves } = methods.get(String(SHORT[method]?.["method"] ?? method));
  if (epochs === undefined || epochs > 1 || leaves !== "adapter") return {};
  const plan = await planOf({ base, revision, model: null }, tasks.get(task).kind, SMALLEST);
  return dropoutsOf(shapeModel(plan)).some(({ p }) => p > 0) ? { baseDropout: 0 } : {};
}

function taskOptions({ task: name, data, validation, column, maxLength }: TrainWords): Record<string, unknown> {
  const task = tasks.get(name);
  if (!onFiles(task))
    throw new InputError(
      `--task ${name}: it is not about rows of a file; tasks that are: ${tasks.all
        .filter(onFiles)
        .map((other) => other.name)
        .join(", ")}`,
    );
  const keys = Object.keys(task.schema.shape);
  const need = (key: string, option: string): void => {
    if (!keys.includes(key)) throw new InputError(`${option}: the task ${name} has no such option`);
  };
  if (validation !== undefined) need("validation", "--validation");
  if (maxLength !== undefined) need("maxLength", "--max-length");
  if (column !== undefined) need("columns", "--column");
  return defined({
    name,
    train: data,
    validation,
    maxLength,
    columns: column === undefined ? undefined : columnsOf(column),
  });
}

/** @throws InputError for what is no `role=name` */
export function columnsOf(said: readonly string[]): Record<string, string> {
  const columns: Record<string, string> = {};
  for (const word of said) {
    const [role, ...name] = word.split("=");
    if (role === "" || name.join("=") === "")
      throw new InputError(`--column ${cut(word)}: expected role=name, for example --column text=review`);
    if (Object.hasOwn(columns, role!)) throw new InputError(`--column: ${quote(cut(role!))} is given twice`);
    columns[role!] = name.join("=");
  }
  return columns;
}

async function methodOptions(words: TrainWords): Promise<Record<string, unknown>> {
  const { method: said, rank, storage } = words;
  const fixed = Object.hasOwn(SHORT, said) ? SHORT[said]! : { method: said };
  const name = String(fixed["method"]);
  if (!methods.has(name))
    throw new InputError(
      `--method ${cut(said)}: there is no such method${suggestion(cut(said), [...methods.names, ...Object.keys(SHORT)])}`,
    );
  const keys = Object.keys(methods.get(name).schema({ head: [] }).shape);
  const has = (key: string): boolean => keys.includes(key);
  const refuse = (option: string): InputError => new InputError(`${option}: the method ${said} has no such option`);
  if (rank !== undefined && !has("r") && !has("targetR")) throw refuse("--rank");
  if (words.alpha !== undefined && !has("alpha")) throw refuse("--alpha");
  if (words.target !== undefined && !has("target")) throw refuse("--target");
  // a rank that is given keeps the scale that rank 8 has with alpha 16
  const alpha = words.alpha ?? (rank === undefined || !has("alpha") ? undefined : 2 * rank);
  return defined({
    ...fixed,
    ...(rank === undefined ? {} : has("r") ? { r: rank } : { targetR: rank, initR: Math.ceil(1.5 * rank) }),
    alpha,
    target: has("target") ? await targetOf(words, has) : undefined,
    storage,
  });
}

/** Every linear layer, but where a method scales: there the modules that PEFT takes for the family. */
async function targetOf({ target, base, revision, task }: TrainWords, has: (key: string) => boolean): Promise<unknown> {
  if (target !== undefined)
    return target.includes(",")
      ? target.split(",").map((part) => part.trim())
      : target === "all-linear" || halvesOf(target) !== undefined
        ? target
        : [target];
  if (!has("feedforward")) return "all-linear";
  const { kind } = tasks.get(task);
  const { family } = shapeModel(await planOf({ base, revision, model: null }, kind, SMALLEST));
  const { ia3 } = family.targets;
  if (ia3 === undefined)
    throw new InputError(`--target: which modules of a ${family.modelType} are meant? nothing is usual`);
  return [...ia3];
}

function defined<T extends object>(words: T): Record<string, unknown> {
  return Object.fromEntries(Object.entries(words).filter(([, value]) => value !== undefined));
}
