/** Tables of a task on rows as a study's data: the one place that knows the tokenizer's folder and the base. */
import { loadTokenizer, type Tokenizer } from "@lowrank/models";
import type { Device } from "@lowrank/tensor";
import { makeBase } from "../../bases/make.ts";
import { planOf } from "../../bases/plan.ts";
import { revisionOf } from "../../data/location.ts";
import { predictionBatches, PREDICTION_MULTIPLE } from "../../data/prediction-batches.ts";
import type { Table } from "../../data/table/table.ts";
import { tokenizerFolder } from "../../data/word-piece.ts";
import { asInput } from "../../errors.ts";
import type { RowItem, Rows, RowTask } from "../../records/row-task.ts";
import type { BaseChoice, BaseNeeds, TaskData, TaskEnvironment } from "../../records/task.ts";
import { chatOf } from "./chat.ts";
import { padIdOf } from "./padding.ts";
import { prepareRows, taskUse, type PrepareOptions, type Validation } from "./prepare.ts";
import { RowScorer } from "./scorer.ts";

export interface RowTaskData {
  readonly data: TaskData;
  readonly tokenizer: Tokenizer;
  /** Those that are evaluated. */
  readonly devRows: Rows;
}

/** @param given text of a template for chats in place of the checkpoint's */
export async function rowTaskData<O extends object, I extends RowItem>(
  task: RowTask<O, I>,
  tables: { readonly train: Table; readonly validation: Validation },
  { how, given }: { readonly how: PrepareOptions<O>; readonly given?: string | undefined },
  to: { readonly choice: BaseChoice; readonly environment: TaskEnvironment; readonly device: Device },
): Promise<RowTaskData> {
  const { choice, environment, device } = to;
  const folder = tokenizerFolder(environment.dataFolder, choice.base);
  const at = choice.base === null ? {} : revisionOf(choice);
  const tokenizer = await asInput(() => loadTokenizer(folder, at));
  const least = { vocab: tokenizer.vocabSize, positions: how.maxLength, labels: 2 };
  const padding = padIdOf(tokenizer, (await planOf(choice, task.kind, least)).config);
  const chat = await chatOf(task, { from: folder, at, tokenizer, given });
  const { facts, columns, ...rows } = prepareRows(task, tables, how, { tokenizer, padId: padding.id, chat });
  const record = task as unknown as RowTask;
  const needs: BaseNeeds = {
    ...least,
    ...record.head?.(facts),
    ...(padding.ofModel ? {} : { padTokenId: padding.id }),
  };
  const data: TaskData = {
    train: rows.train,
    dev: rows.dev,
    multiple: PREDICTION_MULTIPLE,
    ...(task.rate === undefined ? {} : { rate: task.rate }),
    needs,
    tokenizerFolder: folder,
    ...(given === undefined ? {} : { chatTemplate: given }),
    base: (initSeed, storage) => makeBase(choice, task.kind, needs, initSeed, device, storage),
    scorer: () => new RowScorer(record, rows.devRows, rows.dev, facts),
    devBatches: () => predictionBatches(rows.dev),
    use: taskUse(record, { ...facts, columns, maxLength: how.maxLength, padding }),
  };
  return { data, tokenizer, devRows: rows.devRows };
}
