/** YAML from people: one document of maps, lists, strings, numbers, true, false and null. What YAML has beyond that is refused, not ignored. */
import { parseDocument } from "yaml";
import { InputError } from "../errors.ts";
import { readText } from "../data/read-file.ts";

/** A study is a page; a data file given in its place is not parsed. */
const LARGEST_FILE = 2 ** 20;
/** No setting lies deeper; an alias that holds itself does. */
const DEEPEST = 32;
/** Values in all, aliases counted as often as they are used. */
const MOST_VALUES = 100_000;

/** The document of a file. */
export function readYamlFile(path: string): unknown {
  return parseYaml(readYamlText(path), path);
}

/** The same, unread. */
export function readYamlText(path: string): string {
  return readText(path, LARGEST_FILE);
}

/** @throws InputError with one line that begins with the source */
export function parseYaml(text: string, source: string): unknown {
  const refuse = (what: string, cause?: unknown): never => {
    throw new InputError(`${source}: ${what}`, { cause });
  };
  let value: unknown;
  try {
    const document = parseDocument(text, { logLevel: "error" });
    // a warning is a tag that nobody knows: its value would be taken without it
    const problem = document.errors[0] ?? document.warnings[0];
    if (problem !== undefined) refuse(`not valid YAML: ${firstLine(problem.message)}`, problem);
    value = document.toJS();
  } catch (error) {
    if (error instanceof InputError) throw error;
    refuse(`not valid YAML: ${firstLine((error as Error).message)}`, error);
  }
  let count = 0;
  /** Without shared parts: what is set in one place must not change another. */
  const copy = (item: unknown, path: readonly string[]): unknown => {
    const at = path.join(".");
    if (++count > MOST_VALUES) refuse(`holds more than ${MOST_VALUES} values`);
    if (typeof item !== "object" || item === null) return typeof item === "bigint" ? Number(item) : item;
    if (path.length > DEEPEST) refuse(`"${at.slice(0, 40)}…" is nested more than ${DEEPEST} deep`);
    if (Array.isArray(item)) return item.map((inner, i) => copy(inner, [...path, String(i)]));
    if (Object.getPrototypeOf(item) !== Object.prototype)
      refuse(`"${at}" has a type that no setting has; write maps, lists, strings and numbers`);
    if (Object.hasOwn(item, "__proto__")) refuse(`"__proto__" is no key that a file may use`);
    return Object.fromEntries(Object.entries(item).map(([key, inner]) => [key, copy(inner, [...path, key])]));
  };
  return copy(value, []);
}

function firstLine(message: string): string {
  return message.split("\n")[0]!.replace(/:$/, "");
}
