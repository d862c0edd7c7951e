/** A task on rows as a `Task` of studies: the one place that knows files, the tokenizer's folder and the base. */
import { resolve } from "node:path";
import { loadTokenizer } from "@lowrank/models";
import { makeBase } from "../../bases/make.ts";
import { planOf } from "../../bases/plan.ts";
import { hashFiles, revisionOf, sayMarks } from "../../data/location.ts";
import { predictionBatches, PREDICTION_MULTIPLE } from "../../data/prediction-batches.ts";
import { fileSize, readText } from "../../data/read-file.ts";
import { readTableAt } from "../../data/read-table.ts";
import { overlapTrouble, type RowRange } from "../../data/row-range.ts";
import { tokenizerFolder, tokenizerIdentity } from "../../data/word-piece.ts";
import { asInput } from "../../errors.ts";
import type { RowTask } from "../../records/row-task.ts";
import type { BaseNeeds, Task, TaskData, TaskEnvironment } from "../../records/task.ts";
import { chatOf } from "./chat.ts";
import { fileSchema, ownOptions, type FileOptions } from "./options.ts";
import { rowLosses } from "./losses.ts";
import { padIdOf } from "./padding.ts";
import { prepareRows, taskUse } from "./prepare.ts";
import { RowScorer } from "./scorer.ts";

/** Paths of the files that are read, in order. @throws InputError for one that is not there */
function filesOf({ train, validation }: FileOptions, { filesFolder }: TaskEnvironment): string[] {
  const named = typeof validation === "string" ? [train, validation] : [train];
  return named.map((file) => fileAt(file, filesFolder));
}

function fileAt(file: string, folder = "."): string {
  const path = resolve(folder, file);
  fileSize(path);
  return path;
}

function heldOutOf(validation: FileOptions["validation"]): RowRange | undefined {
  return typeof validation === "object" && "trainRows" in validation ? validation.trainRows : undefined;
}

/** What chats are written by, where a file says it. */
function templatesOf({ chatTemplate }: FileOptions, { filesFolder }: TaskEnvironment): string[] {
  return chatTemplate === undefined ? [] : [fileAt(chatTemplate, filesFolder)];
}

/** Templates in the wild have at most some 20,000 characters. */
const LARGEST_TEMPLATE = 2 ** 20;

export function fileTask(task: RowTask): Task<FileOptions> {
  return {
    name: task.name,
    schema: fileSchema(task),
    kind: task.kind,
    readsFiles: true,
    items: task.items,
    metrics: task.metrics,
    check: ({ trainRows, validation }) => overlapTrouble({ trainRows, heldOut: heldOutOf(validation) }),
    // neither labels nor words are known before the files are read: what is asked for here is the least
    least: () => ({ vocab: 1, positions: 1, labels: 2 }),
    comparable: ({ validation, ...options }) => ({
      ...options,
      train: "by content",
      ...(options.chatTemplate === undefined ? {} : { chatTemplate: "by content" }),
      validation: typeof validation === "string" ? "by content" : validation,
    }),
    async identity(options, environment, base, revision) {
      const folder = tokenizerFolder(environment.dataFolder, base);
      return `${hashFiles([...filesOf(options, environment), ...templatesOf(options, environment)])}/${await tokenizerIdentity(folder, revision)}`;
    },
    async data(options, choice, environment, device): Promise<TaskData> {
      const say = environment.say ?? (() => {});
      const files = filesOf(options, environment);
      sayMarks(files, say);
      const folder = tokenizerFolder(environment.dataFolder, choice.base);
      const at = choice.base === null ? {} : revisionOf(choice);
      const tokenizer = await asInput(() => loadTokenizer(folder, at));
      const least = { vocab: tokenizer.vocabSize, positions: options.maxLength, labels: 2 };
      const padding = padIdOf(tokenizer, (await planOf(choice, task.kind, least)).config);
      const [template] = templatesOf(options, environment);
      const given = template === undefined ? undefined : readText(template, LARGEST_TEMPLATE);
      const chat = await chatOf(task, { from: folder, at, tokenizer, given });
      const [train, validation] = await Promise.all(files.map((file) => readTableAt(file)));
      const { facts, columns, ...rows } = prepareRows(
        task,
        { train: train!, validation: validation ?? (options.validation as Exclude<FileOptions["validation"], string>) },
        { ...options, options: ownOptions(task, options), say },
        { tokenizer, padId: padding.id, chat },
      );
      const needs: BaseNeeds = {
        ...least,
        ...task.head?.(facts),
        ...(padding.ofModel ? {} : { padTokenId: padding.id }),
      };
      return {
        train: rows.train,
        dev: rows.dev,
        multiple: PREDICTION_MULTIPLE,
        ...(task.rate === undefined ? {} : { rate: task.rate }),
        needs,
        tokenizerFolder: folder,
        ...(given === undefined ? {} : { chatTemplate: given }),
        base: (initSeed, storage) => makeBase(choice, task.kind, needs, initSeed, device, storage),
        scorer: () => new RowScorer(task, rows.devRows, rows.dev, facts),
        devBatches: () => predictionBatches(rows.dev),
        use: taskUse(task, { ...facts, columns, maxLength: options.maxLength, padding }),
      };
    },
    ...rowLosses(task),
  };
}
