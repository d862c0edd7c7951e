/**
 * The parts of a tokenizer.json are records: a type's name, the shape of its options, and what it builds. A part that is not in the
 * table is refused by name when the file is read, never skipped.
 */
import { quote } from "@lowrank/tensor";
import { fields, refuse, type Place, type Rule, type Rules } from "@lowrank/tensor/check";

/** Reads the options of one type (its `type` key is gone) and builds the part. */
export type Part<T> = (options: unknown, at: Place) => T;

/** Sequences may nest, but not so deep that reading them overflows the stack. */
const DEEPEST = 16;

export function part<O extends object, T>(rules: Rules<O>, build: (options: O, at: Place) => T): Part<T> {
  const rule = fields<O>(rules);
  return (options, at) => build(rule.read(options, at), at);
}

/** One of the records, chosen by the object's `type`; `infer` names it for old files that have none. */
export function partOf<T>(
  what: string,
  records: () => Readonly<Record<string, Part<T>>>,
  infer?: (value: object) => string | undefined,
): Rule<T> {
  const expects = `a ${what}: an object with a "type"`;
  return {
    expects,
    read(value, at) {
      if (typeof value !== "object" || value === null || Array.isArray(value))
        return refuse(at, `must be ${expects}, got ${quote(value)}`);
      if (at.path.length > DEEPEST) return refuse(at, `is nested deeper than ${DEEPEST} levels`);
      const { type = infer?.(value), ...options } = value as { type?: unknown };
      const known = records();
      const record = typeof type === "string" && Object.hasOwn(known, type) ? known[type] : undefined;
      if (record === undefined)
        return refuse(at, `is of type ${quote(type)}, which is not built; built: ${Object.keys(known).join(", ")}`);
      return record(options, at);
    },
  };
}
