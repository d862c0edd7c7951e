/** What is kept and committed names no place of a machine: a base and files are known by their content, and are called by their last part. */
import { isAbsolute } from "node:path";

/** A copy of plain data in which absolute paths are their last part. */
export function withoutPaths<T>(value: T): T {
  if (typeof value === "string") return (isAbsolute(value) ? lastPart(value) : value) as T;
  if (Array.isArray(value)) return value.map((item: unknown) => withoutPaths(item)) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutPaths(item as unknown)])) as T;
}

function lastPart(path: string): string {
  return path.split(/[\\/]/).findLast((part) => part !== "") ?? path;
}
