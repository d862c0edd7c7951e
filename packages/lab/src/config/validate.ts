/** From a zod issue to one line that a person can act on: key path, what is wrong, and for unknown names the nearest known one. */
import { z } from "zod";
import { quote } from "@lowrank/tensor";
import { InputError } from "../errors.ts";
import { cut } from "../text/shown.ts";
import { suggestion } from "@lowrank/tensor/check";

/** The parsed value, or an InputError with one line about the first problem. `source` names the file or option. */
export function validate<T>(schema: z.ZodType<T>, value: unknown, source: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { issues } = parsed.error;
  const first = issues.find((issue) => issue.code === "unrecognized_keys") ?? issues[0]!;
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : "";
  throw new InputError(`${source}: ${describe(first, schema, value)}${more}`);
}

function describe(issue: z.core.$ZodIssue, schema: z.ZodType, value: unknown): string {
  const path = issue.path.map(String);
  const key = quote(path.join("."));
  const given = valueAt(value, path);
  if (issue.code === "unrecognized_keys") {
    const unknown = issue.keys[0]!;
    return `unknown key ${quote([...path, unknown].join("."))}${suggestion(cut(unknown), knownKeys(schema, value, path))}`;
  }
  if (issue.code === "invalid_key")
    return `key ${quote(path.at(-1))} of ${quote(path.slice(0, -1).join("."))}: ${issue.issues[0]!.message}`;
  const options = choices(issue);
  if (given === undefined)
    return `${key} is missing${options === undefined ? `; ${plain(issue.message)}` : `; known: ${options.join(", ")}`}`;
  if (options !== undefined) return `${key} is ${quote(given)}${suggestion(cut(String(given)), options)}`;
  return `${path.length === 0 ? "the document" : key} is ${quote(given)}; ${plain(issue.message)}`;
}

/** The values that are allowed, where zod knows a closed list. */
function choices(issue: z.core.$ZodIssue): string[] | undefined {
  if (issue.code === "invalid_value") return issue.values.map(String);
  if (issue.code === "invalid_union" && "options" in issue) return (issue.options as unknown[]).map(String);
  return undefined;
}

function plain(message: string): string {
  return message.replace(/^Invalid input: /, "").replace(/^[A-Z]/, (letter) => letter.toLowerCase());
}

/** Keys of the strict object at `path`, with unions resolved by the discriminator that the value carries. */
function knownKeys(schema: z.ZodType, value: unknown, path: readonly string[]): string[] {
  let at: z.ZodType | undefined = resolve(schema, value);
  let current = value;
  for (const key of path) {
    current = valueAt(current, [key]);
    if (at instanceof z.ZodObject) at = at.shape[key] as z.ZodType | undefined;
    else if (at instanceof z.ZodRecord) at = at.valueType as z.ZodType;
    else if (at instanceof z.ZodArray) at = at.element as z.ZodType;
    if (at === undefined) return [];
    at = resolve(at, current);
  }
  return at instanceof z.ZodObject ? Object.keys(at.shape) : [];
}

function resolve(schema: z.ZodType, value: unknown): z.ZodType {
  let at = schema;
  while (at instanceof z.ZodOptional || at instanceof z.ZodDefault || at instanceof z.ZodNullable)
    at = at.unwrap() as z.ZodType;
  if (!(at instanceof z.ZodDiscriminatedUnion)) return at;
  const field = at.def.discriminator;
  const given = valueAt(value, [field]);
  const match = at.options.find((option) => {
    const literal = (option as z.ZodObject).shape[field];
    return literal instanceof z.ZodLiteral && literal.values.has(given as string);
  });
  return (match as z.ZodType | undefined) ?? at;
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (at, key) => (typeof at === "object" && at !== null ? (at as Record<string, unknown>)[key] : undefined),
    value,
  );
}
