/** Columns of tables. */
import type { Column } from "../document.ts";

/** Of numbers. */
export const right = (title: string): Column => ({ title, align: "right" });
/** Of names that are not broken. */
export const whole = (title: string): Column => ({ title, whole: true });
