/** A task on rows as a `Task` of studies: the one place that knows files. */
import { resolve } from "node:path";
import { hashFiles, sayMarks } from "../../data/location.ts";
import { fileSize, readText } from "../../data/read-file.ts";
import { readTableAt } from "../../data/read-table.ts";
import { overlapTrouble, type RowRange } from "../../data/row-range.ts";
import { tokenizerFolder, tokenizerIdentity } from "../../data/word-piece.ts";
import type { RowTask } from "../../records/row-task.ts";
import type { Task, TaskData, TaskEnvironment } from "../../records/task.ts";
import { fileSchema, ownOptions, type FileOptions } from "./options.ts";
import { rowLosses } from "./losses.ts";
import { rowTaskData } from "./task-data.ts";

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
      const [template] = templatesOf(options, environment);
      const [train, validation] = await Promise.all(files.map((file) => readTableAt(file)));
      const tables = {
        train: train!,
        validation: validation ?? (options.validation as Exclude<FileOptions["validation"], string>),
      };
      const given = template === undefined ? undefined : readText(template, LARGEST_TEMPLATE);
      const how = { ...options, options: ownOptions(task, options), say };
      const { data } = await rowTaskData(task, tables, { how, given }, { choice, environment, device });
      return data;
    },
    ...rowLosses(task),
  };
}
