/**
 * What a value from outside may be: option objects of public functions, and objects read from files. A rule says in words what it
 * expects and returns the value or throws one line that names the place, the key and the fix. Rules run once per call or file, never per step.
 *
 *     const RULES = fields<SgdOptions>({ lr: real({ above: 0 }), momentum: optional(probability) }, { spelt: { learningRate: "lr" } });
 *     const { lr, momentum = 0 } = checkOptions("SGD", RULES, options);
 */
import { LowrankError, quote, type ErrorCode } from "../errors.ts";
import { suggestion } from "./nearest.ts";

/** Where a value stands, for messages. */
export interface Place {
  /** A function's name or a file's. */
  readonly source: string;
  readonly path: readonly (string | number)[];
  readonly code: ErrorCode;
}

export interface Rule<T> {
  /** Completes "… must be". */
  readonly expects: string;
  /** @throws LowrankError with the place's code */
  read(value: unknown, at: Place): T;
}

export type Rules<T> = { readonly [K in keyof Required<T>]: Rule<T[K]> };

/** A refusal in the form all of them have: `loraConfig: "r" must be a positive whole number, got "8"`. */
export function refuse(at: Place, message: string): never {
  const key = at.path.length === 0 ? "" : `${JSON.stringify(at.path.join("."))} `;
  throw new LowrankError(at.code, `${at.source}: ${key}${message}`);
}

/** A rule from a predicate. */
export function leaf<T>(expects: string, accepts: (value: unknown) => boolean): Rule<T> {
  return {
    expects,
    read(value, at) {
      if (accepts(value)) return value as T;
      return refuse(
        at,
        value === undefined ? `is missing; it must be ${expects}` : `must be ${expects}, got ${quote(value)}`,
      );
    },
  };
}

export const flag: Rule<boolean> = leaf("true or false", (v) => typeof v === "boolean");
export const text: Rule<string> = leaf("a string", (v) => typeof v === "string");
export const name: Rule<string> = leaf("a string that is not empty", (v) => typeof v === "string" && v !== "");
export function callback<T>(): Rule<T> {
  return leaf("a function", (v) => typeof v === "function");
}
/** Checked elsewhere, or not ours to judge. */
export function anything<T = unknown>(): Rule<T> {
  return leaf("a value", () => true);
}
export function instance<T>(type: abstract new (...args: never[]) => T): Rule<T> {
  return leaf(`a ${type.name}`, (v) => v instanceof type);
}

/** A whole number from `min` to `max`. */
export function whole(min: number, max: number = Number.MAX_SAFE_INTEGER): Rule<number> {
  const bound =
    max === Number.MAX_SAFE_INTEGER
      ? min === 1
        ? "a positive whole number"
        : `a whole number of at least ${min}`
      : `a whole number from ${min} to ${max}`;
  return leaf(bound, (v) => Number.isSafeInteger(v) && (v as number) >= min && (v as number) <= max);
}

/** Longest dimension that memory can hold: one f32 row of 2^30 elements takes all 4 GiB of WebAssembly. */
export const LARGEST_SIZE: number = 2 ** 30;
/** A dimension or a count of things that each take memory. */
export const size: Rule<number> = leaf(
  `a positive whole number up to ${LARGEST_SIZE}, beyond which no memory holds it`,
  (v) => Number.isSafeInteger(v) && (v as number) >= 1 && (v as number) <= LARGEST_SIZE,
);

export interface Range {
  readonly min?: number;
  readonly above?: number;
  readonly max?: number;
  readonly below?: number;
}

/** A finite number in a range. */
export function real({
  min = -Infinity,
  above = -Infinity,
  max = Infinity,
  below = Infinity,
}: Range = {}): Rule<number> {
  const bounds = [
    Number.isFinite(min) ? `at least ${min}` : "",
    Number.isFinite(above) ? `above ${above}` : "",
    Number.isFinite(max) ? `at most ${max}` : "",
    Number.isFinite(below) ? `below ${below}` : "",
  ];
  const said = bounds.filter(Boolean).join(" and ");
  return leaf(
    said === "" ? "a finite number" : `a number ${said}`,
    (v) => typeof v === "number" && Number.isFinite(v) && v >= min && v > above && v <= max && v < below,
  );
}

/** In [0, 1). */
export const probability: Rule<number> = real({ min: 0, below: 1 });
export const positive: Rule<number> = real({ above: 0 });

/** One of a closed list of words, numbers or flags. */
export function oneOf<const W extends string | number | boolean | null>(...words: readonly W[]): Rule<W> {
  const spelt = words.map((w) => JSON.stringify(w));
  const known = spelt.length === 1 ? spelt[0]! : `one of ${spelt.join(", ")}`;
  return leaf(known, (v) => (words as readonly unknown[]).includes(v));
}

export function optional<T>(rule: Rule<T>): Rule<T | undefined> {
  return { expects: rule.expects, read: (value, at) => (value === undefined ? undefined : rule.read(value, at)) };
}

/** For files, where null and absence are the same. */
export function absent<T>(rule: Rule<T>): Rule<T | undefined> {
  return {
    expects: `${rule.expects} or null`,
    read: (value, at) => (value === undefined || value === null ? undefined : rule.read(value, at)),
  };
}

export function listOf<T>(
  item: Rule<T>,
  { min = 0, max = LARGEST_SIZE }: { readonly min?: number; readonly max?: number } = {},
): Rule<T[]> {
  const expects = `a list${min > 0 ? ` of at least ${min}` : ""}, each ${item.expects}`;
  return {
    expects,
    read(value, at) {
      if (!Array.isArray(value) || value.length < min || value.length > max)
        return refuse(at, `must be ${expects}, got ${quote(value)}`);
      return value.map((v, i) => item.read(v, { source: at.source, path: [...at.path, i], code: at.code }));
    },
  };
}

/** Names to values. */
export function mapOf<T>(item: Rule<T>): Rule<Record<string, T>> {
  const expects = `an object whose values are each ${item.expects}`;
  return {
    expects,
    read(value, at) {
      if (!isPlainObject(value)) return refuse(at, `must be ${expects}, got ${quote(value)}`);
      return Object.fromEntries(
        Object.entries(value).map(([key, v]) => [key, item.read(v, { ...at, path: [...at.path, key] })]),
      );
    },
  };
}

/** The first rule that takes the value; where none does, what any of them would take. */
export function anyOf<T extends readonly unknown[]>(
  ...rules: { readonly [K in keyof T]: Rule<T[K]> }
): Rule<T[number]> {
  const all = rules as readonly Rule<T[number]>[];
  const expects = all.map((r) => r.expects).join(", or ");
  return {
    expects,
    read(value, at) {
      for (const rule of all) {
        try {
          return rule.read(value, at);
        } catch (error) {
          if (!(error instanceof LowrankError)) throw error;
        }
      }
      return refuse(
        at,
        value === undefined ? `is missing; it must be ${expects}` : `must be ${expects}, got ${quote(value)}`,
      );
    },
  };
}

export interface FieldOptions {
  /** Keys no rule knows: an error, or kept as they are (files whose writers add keys of their own). Default `refuse`. */
  readonly unknown?: "refuse" | "keep";
  /** Spellings that people bring from elsewhere, and the key that is meant. Used in messages only. */
  readonly spelt?: Readonly<Record<string, string>>;
}

/** An object with these keys. Keys that are absent or undefined stay absent, so that defaults can be spread under the result. */
export function fields<T extends object>(
  rules: Rules<T>,
  { unknown = "refuse", spelt = {} }: FieldOptions = {},
): Rule<T> {
  const known = Object.keys(rules);
  return {
    expects: "an object",
    read(value, at) {
      if (!isPlainObject(value))
        return refuse(at, `must be an object with the keys ${known.join(", ")}, got ${quote(value)}`);
      const stranger =
        unknown === "keep"
          ? undefined
          : Object.keys(value).find((key) => !Object.hasOwn(rules, key) && value[key] !== undefined);
      if (stranger !== undefined)
        refuse(
          at,
          `has an unknown key ${quote(stranger)}${Object.hasOwn(spelt, stranger) ? `; did you mean "${spelt[stranger]}"?` : suggestion(stranger, known)}`,
        );
      // a known key that is null is absent, not null
      const given =
        unknown === "keep"
          ? Object.fromEntries(Object.entries(value).filter(([key]) => !Object.hasOwn(rules, key)))
          : {};
      for (const key of known) {
        const read = rules[key as keyof T].read(Object.hasOwn(value, key) ? value[key] : undefined, {
          source: at.source,
          path: [...at.path, key],
          code: at.code,
        });
        if (read !== undefined) given[key] = read;
      }
      return given as T;
    },
  };
}

/**
 * A caller's own object with these members, its own or inherited: a record of functions, an instance of a class, a class. It is given back
 * as it is, with all else that it has.
 * @param expects completes "… must be"
 */
export function having<T extends object>(expects: string, members: Partial<Rules<T>>): Rule<T> {
  return {
    expects,
    read(value, at) {
      if (value === null || (typeof value !== "object" && typeof value !== "function"))
        return refuse(
          at,
          value === undefined ? `is missing; it must be ${expects}` : `must be ${expects}, got ${quote(value)}`,
        );
      for (const [key, rule] of Object.entries(members))
        (rule as Rule<unknown>).read((value as Record<string, unknown>)[key], { ...at, path: [...at.path, key] });
      return value as T;
    },
  };
}

/** Class instances are plain enough when their fields are own properties; null, lists, buffers, and a Map, a Date or a Promise, which keep theirs inside, are not. */
function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Symbol.iterator in value) return false;
  return Object.prototype.toString.call(value) === "[object Object]" || Object.keys(value).length > 0;
}

/** Options of a public function. @throws LowrankError (ConfigError) naming the function and the key */
export function checkOptions<T>(source: string, rule: Rule<T>, options: unknown): T {
  return rule.read(options, { source, path: [], code: "ConfigError" });
}

/** An object read from a file. @throws FormatError naming the file and the key */
export function checkFile<T>(source: string, rule: Rule<T>, value: unknown): T {
  return rule.read(value, { source, path: [], code: "FormatError" });
}
