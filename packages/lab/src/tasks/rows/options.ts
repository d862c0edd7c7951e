/** What a study may say of a task on rows, beside the task's own words. */
import { z } from "zod";
import { count, heldOutRows, rowRange, seed } from "../../config/numbers.ts";
import type { TaskOptions } from "../../config/study.ts";
import type { HeldOutRows, RowRange } from "../../data/row-range.ts";
import type { ColumnWords } from "../../data/table/columns.ts";
import { USUAL_LENGTH, type RowTask } from "../../records/row-task.ts";
import type { Fraction } from "./prepare.ts";

export interface FileOptions extends TaskOptions {
  /** File of the rows to train on. */
  readonly train: string;
  /** Its rows that are meant. Absent: all, but those that are held out. */
  readonly trainRows?: RowRange | undefined;
  /** File of the rows to evaluate on, or how many or which of the former are held out for it. */
  readonly validation: string | Fraction | HeldOutRows;
  readonly columns?: ColumnWords | undefined;
  /** Most tokens of an example, special ones included. */
  readonly maxLength: number;
  /** File of the template by which chats are written, in place of the checkpoint's; of tasks whose rows may be chats. */
  readonly chatTemplate?: string | undefined;
  readonly trainLimit?: number | undefined;
  readonly validationLimit?: number | undefined;
}

const path = z.string().min(1);

/** The task's own words among what a study says. */
export function ownOptions(task: RowTask, options: object): object {
  return Object.fromEntries(Object.entries(options).filter(([key]) => Object.hasOwn(task.options, key)));
}

export function fileSchema(task: RowTask): z.ZodObject {
  const roles = Object.keys(task.columns).map((role) => [role, z.string().nullable().optional()] as const);
  return z.strictObject({
    name: z.literal(task.name),
    train: path,
    trainRows: rowRange.optional(),
    validation: z
      .union(
        [path, heldOutRows, z.strictObject({ fraction: z.number().gt(0).lt(1).default(0.1), seed: seed.default(0) })],
        { error: "expected a file, {fraction: 0.1, seed: 0}, or {trainRows: [FIRST, LAST]}, rows from 1 on" },
      )
      .default({ fraction: 0.1, seed: 0 }),
    columns: z.strictObject(Object.fromEntries(roles)).optional(),
    maxLength: z
      .number()
      .int()
      .min(8)
      .max(65_536)
      .default(task.maxLength ?? USUAL_LENGTH),
    ...(task.chats === true ? { chatTemplate: path.optional() } : {}),
    trainLimit: count.optional(),
    validationLimit: count.optional(),
    ...task.options,
  });
}
