/** Kinds of numbers that studies and pre-training share. Every size has a bound, so that a slip of the finger is one line and not a hang. */
import { LARGEST_SIZE } from "@lowrank/tensor/check";
import { z } from "zod";

/** A size or a count of things that each take memory. */
export const count: z.ZodNumber = z
  .number()
  .int({ error: "expected a whole number" })
  .positive()
  .max(LARGEST_SIZE, { error: `expected at most ${LARGEST_SIZE}, beyond which no memory holds it` });
/** Layers of a model; config.json has the same bound. */
export const layers: z.ZodNumber = count.max(8192, {
  error: "expected at most 8192, beyond which no memory holds the layers",
});
export const seed: z.ZodNumber = z
  .number()
  .int({ error: "expected a whole number" })
  .min(0)
  .max(2 ** 32 - 1);
/** In [0, 1]. */
export const fraction: z.ZodNumber = z.number().min(0).max(1);
/** In [0, 1). */
export const probability: z.ZodNumber = z.number().min(0).lt(1);
export const positive: z.ZodNumber = z.number().positive();
/** Passes over a data set. */
export const passes: z.ZodNumber = z.number().positive().max(1e6);
/** Rows of a file by the numbers of the first and the last one, from 1 on. */
export const rowRange: z.ZodType<readonly [first: number, last: number]> = z
  .tuple([count, count], { error: "expected [FIRST, LAST], numbers of rows from 1 on, such as [1, 8000]" })
  .refine(([first, last]) => first <= last, { error: "the first row comes after the last one; write [FIRST, LAST]" });
/** Rows of the training file to evaluate on. */
export const heldOutRows: z.ZodObject<{ trainRows: typeof rowRange }> = z.strictObject({ trainRows: rowRange });
