/** Values of a document, each of the kind that its reader needs, or thrown. */

export type Raw = Readonly<Record<string, unknown>>;

/** What the second reader does not understand either way: nothing follows from it. */
export class Unjudged extends Error {}

export function need(condition: boolean, what: string): true {
  if (!condition) throw new Error(`not ${what}`);
  return true;
}
export const record = (value: unknown): Raw => {
  need(typeof value === "object" && value !== null && !Array.isArray(value), "an object");
  return value as Raw;
};
export const list = (value: unknown): readonly unknown[] => {
  need(Array.isArray(value), "a list");
  return value as unknown[];
};
export const str = (value: unknown): string => {
  need(typeof value === "string", "a text");
  return value as string;
};
export const bool = (value: unknown): boolean => {
  need(typeof value === "boolean", "true or false");
  return value as boolean;
};
/** Whole and from 0, or from `least` any number. */
export const num = (value: unknown, least?: number): number => {
  need(
    typeof value === "number" && (least === undefined ? Number.isInteger(value) && value >= 0 : value > least),
    "a number",
  );
  return value as number;
};
export const typed = (part: Raw): string => str(part["type"]);
