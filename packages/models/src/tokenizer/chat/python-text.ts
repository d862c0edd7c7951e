/** Values of a template as Python prints them: `True`, `None`, `2.0`, `['a', {'b': 1}]`; and as its `json.dumps` writes them. */
import { pythonFloat } from "@lowrank/tensor/check";
import { spend, spendText } from "./limits.ts";
import type { Value } from "./value.ts";

/** `str(x)`. */
export function pythonText({ type, value }: Value): string {
  return type === "UndefinedValue" ? "" : typeof value === "string" ? value : repr({ type, value });
}

/** `repr(x)`. */
export function repr({ type, value }: Value): string {
  spend(1);
  if (type === "NullValue") return "None";
  if (type === "UndefinedValue") return "Undefined";
  if (typeof value === "function") throw new Error("a function or macro is not called, and has no text");
  if (type === "FloatValue") return pythonFloat(value as number);
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string") return quoted(value);
  if (Array.isArray(value)) {
    const items = (value as Value[]).map(repr).join(", ");
    return type === "TupleValue" ? `(${items}${value.length === 1 ? "," : ""})` : `[${items}]`;
  }
  if (value instanceof Map)
    return `{${[...(value as Map<unknown, Value>)].map(([key, item]) => `${keyText(key)}: ${repr(item)}`).join(", ")}}`;
  return String(value);
}
const keyText = (key: unknown): string => (typeof key === "string" ? quoted(key) : String(key));

const ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };
/** In double quotes where there are single ones inside and no double ones. */
function quoted(text: string): string {
  spendText(text.length);
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const body = text.replace(/[\\\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu, (c) => {
    const code = c.codePointAt(0)!;
    if (ESCAPES[c] !== undefined) return ESCAPES[c];
    const [letter, width] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
    return `\\${letter}${code.toString(16).padStart(width as number, "0")}`;
  });
  return quote + (quote === "'" ? body.replaceAll("'", "\\'") : body) + quote;
}

export interface JsonOptions {
  /** A text, or so many spaces, for each level; undefined: everything on one line. */
  readonly indent?: string | undefined;
  readonly separators?: readonly [item: string, key: string] | undefined;
  readonly sortKeys?: boolean;
  readonly ensureAscii?: boolean;
}

/** `json.dumps(x, ensure_ascii=False)`, which is what transformers gives templates as `tojson`. */
export function pythonJson(value: Value, options: JsonOptions = {}): string {
  const { indent, sortKeys = false, ensureAscii = false } = options;
  const [between, colon] = options.separators ?? [indent === undefined ? ", " : ",", ": "];
  const string = (x: string): string => {
    spendText(x.length);
    return ensureAscii
      ? JSON.stringify(x).replace(/[^\0-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)
      : JSON.stringify(x);
  };
  const within = (items: readonly string[], open: string, close: string, depth: number): string => {
    if (items.length === 0) return open + close;
    if (indent === undefined) return open + items.join(between) + close;
    const line = (level: number): string => `\n${indent.repeat(level)}`;
    return open + line(depth + 1) + items.join(between + line(depth + 1)) + line(depth) + close;
  };
  const write = ({ type, value: x }: Value, depth: number): string => {
    spend(1);
    if (type === "NullValue") return "null";
    if (type === "FloatValue") return pythonFloat(x as number);
    if (typeof x === "string") return string(x);
    if (typeof x === "number" || typeof x === "boolean") return String(x);
    if (Array.isArray(x))
      return within(
        (x as Value[]).map((item) => write(item, depth + 1)),
        "[",
        "]",
        depth,
      );
    if (!(x instanceof Map)) throw new Error(`a value of type ${type} is not JSON serializable`);
    const entries = [...(x as Map<unknown, Value>)].map(([key, item]) => [String(key), item] as const);
    if (sortKeys) entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    return within(
      entries.map(([key, item]) => `${string(key)}${colon}${write(item, depth + 1)}`),
      "{",
      "}",
      depth,
    );
  };
  return write(value, 0);
}
