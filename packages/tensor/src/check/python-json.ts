/** JSON as Python's json.dumps writes it, for files that Python reads: there 6 and 6.0 are two types, and JavaScript has one. */
import { LowrankError } from "../errors.ts";

export interface PythonJsonOptions {
  /** Keys, at any depth, whose numbers are floats in Python: 6 is written 6.0. Lists under such a key hold floats. */
  readonly floats?: ReadonlySet<string>;
  /** Spaces a level; default everything on one line, with a space after commas and colons. */
  readonly indent?: number;
  readonly sortKeys?: boolean;
}

/**
 * ASCII only. Keys whose value is undefined are left out.
 * @throws LowrankError (ValueError) naming the key of a number that JSON cannot hold
 */
export function pythonJson(
  value: unknown,
  { floats = new Set(), indent, sortKeys = false }: PythonJsonOptions = {},
): string {
  const list = (items: readonly string[], open: string, close: string, depth: number): string => {
    if (items.length === 0) return open + close;
    if (indent === undefined) return `${open}${items.join(", ")}${close}`;
    const line = (level: number): string => `\n${" ".repeat(indent * level)}`;
    return `${open}${line(depth + 1)}${items.join(`,${line(depth + 1)}`)}${line(depth)}${close}`;
  };
  const write = (x: unknown, key: string, depth: number): string => {
    if (typeof x === "number") return pythonNumber(x, key, floats.has(key));
    if (typeof x === "string") return pythonString(x);
    if (typeof x !== "object" || x === null) return JSON.stringify(x) ?? "null";
    if (Array.isArray(x))
      return list(
        x.map((item) => write(item, key, depth + 1)),
        "[",
        "]",
        depth,
      );
    const entries = Object.entries(x).filter(([, v]) => v !== undefined);
    if (sortKeys) entries.sort(([a], [b]) => byKey(a, b));
    return list(
      entries.map(([k, v]) => `${pythonString(k)}: ${write(v, k, depth + 1)}`),
      "{",
      "}",
      depth,
    );
  };
  return write(value, "", 0);
}

/** Keys that are whole numbers (of `id2label`) are numbers in Python too, and come in their order. */
function byKey(a: string, b: string): number {
  const whole = /^\d+$/;
  if (whole.test(a) && whole.test(b)) return Number(a) - Number(b);
  return a < b ? -1 : 1;
}

function pythonString(text: string): string {
  return JSON.stringify(text).replace(/[^ -~]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function pythonNumber(x: number, key: string, float: boolean): string {
  if (!Number.isFinite(x)) throw new LowrankError("ValueError", `"${key}" is ${x}, which JSON cannot hold`);
  return float || !Number.isInteger(x) ? pythonFloat(x) : BigInt(x).toString();
}

/** repr of a float: shortest digits, exponent form below 1e-4 and from 1e16, exponents with two digits. */
export function pythonFloat(x: number): string {
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) return x.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  const text = Object.is(x, -0) ? "-0" : String(x);
  return Number.isInteger(x) ? `${text}.0` : text;
}
