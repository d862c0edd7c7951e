/**
 * JSON in fewer bytes that people still read, and that comes back exactly: lists of like objects as columns (`$table`), small whole numbers as digits
 * (`$digits`, base 36), numbers in a row by the first and how many (`$range`), truth values as `$bits`, what repeats as `$runs` of value and count, and names that were listed before as `$as` with the
 * place of that list. An object with a key of its own that begins with `$` is kept as `$pairs`.
 */
import { InputError } from "../errors.ts";
import { objectOf } from "./run-files.ts";

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Shorter lists stay as they are. */
const LEAST = 4;
const DIGITS = 36;

/** @param value JSON: no undefined, and no number that is not finite */
export function packed(value: unknown): unknown {
  return pack(value as Json, new Map());
}

/** What `packed` was given. @throws InputError for what it does not make */
export function unpacked(value: unknown): unknown {
  return unpack(value as Json, []);
}

function pack(value: Json, lists: Map<string, number>): Json {
  if (isList(value)) return packList(value, lists);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  if (entries.some(([key]) => key.startsWith("$")))
    return { $pairs: entries.map(([key, item]) => [key, pack(item, lists)]) };
  return Object.fromEntries(entries.map(([key, item]) => [key, pack(item, lists)]));
}

function packList(list: readonly Json[], lists: Map<string, number>): Json {
  if (isNames(list)) {
    // the same word again and again is no list of names
    const repeated = runs(list);
    if (repeated !== undefined) return repeated;
    const key = JSON.stringify(list);
    const known = lists.get(key);
    if (known !== undefined) return { $as: known };
    lists.set(key, lists.size);
    return list;
  }
  const plain =
    range(list) ??
    worded(list, "$bits", bitsOf) ??
    worded(list, "$digits", digitsOf) ??
    (list.length >= LEAST && list.every((item) => typeof item !== "object" || item === null) ? runs(list) : undefined);
  if (plain !== undefined) return plain;
  const columns = columnsOf(list);
  if (columns === undefined) return list.map((item) => pack(item, lists));
  return {
    $table: Object.fromEntries(
      columns.map((key) => [
        key,
        packList(
          list.map((row) => keyed(row)[key]!),
          lists,
        ),
      ]),
    ),
  };
}

/** A list as one word, or a list of lists as words; undefined where one of them is none. */
function worded(
  list: readonly Json[],
  key: "$bits" | "$digits",
  word: (of: Json) => string | undefined,
): Json | undefined {
  if (list.length >= LEAST) {
    const own = word(list);
    if (own !== undefined) return { [key]: own };
  }
  if (list.length < 2 || !list.every((inner) => isList(inner) && inner.length >= LEAST)) return undefined;
  const words = list.map(word);
  return words.every((of) => of !== undefined) ? { [key]: words } : undefined;
}

function bitsOf(list: Json): string | undefined {
  if (!isList(list) || !list.every((item) => typeof item === "boolean")) return undefined;
  return list.map((item) => (item === true ? "1" : "0")).join("");
}

function digitsOf(list: Json): string | undefined {
  if (!isList(list)) return undefined;
  const isDigit = (item: Json): item is number =>
    typeof item === "number" && Number.isInteger(item) && item >= 0 && item < DIGITS;
  return list.every(isDigit) ? list.map((item) => item.toString(DIGITS)).join("") : undefined;
}

/** Undefined where they do not go up by one. */
function range(list: readonly Json[]): Json | undefined {
  const [first] = list;
  if (list.length < LEAST || typeof first !== "number" || !Number.isSafeInteger(first + list.length)) return undefined;
  return list.every((item, i) => item === first + i) ? { $range: [first, list.length] } : undefined;
}

/** Undefined where it is no shorter. */
function runs(list: readonly Json[]): Json | undefined {
  const pairs: Json[] = [];
  for (const [i, item] of list.entries()) {
    if (i > 0 && Object.is(item, list[i - 1])) (pairs[pairs.length - 1] as number)++;
    else pairs.push(item, 1);
  }
  return pairs.length < list.length ? { $runs: pairs } : undefined;
}

/** Keys that every one of the rows has, in one order. */
function columnsOf(list: readonly Json[]): string[] | undefined {
  if (list.length < 2) return undefined;
  const keys = list.map((row) => (objectOf(row) === undefined ? undefined : Object.keys(keyed(row))));
  const first = keys[0];
  if (first === undefined || first.length === 0) return undefined;
  return keys.every((of) => of?.length === first.length && of.every((key, c) => key === first[c])) ? first : undefined;
}

function unpack(value: Json, lists: (readonly Json[])[]): Json {
  if (isList(value)) {
    if (isNames(value)) lists.push(value);
    return value.map((item) => unpack(item, lists));
  }
  if (typeof value !== "object" || value === null) return value;
  const [[key, of] = []] = Object.entries(value) as [string, Json][];
  if (key?.startsWith("$") === true) return unpackKey(key, of!, lists);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, unpack(item, lists)]));
}

function unpackKey(key: string, of: Json, lists: (readonly Json[])[]): Json {
  const words = (each: (letter: string) => Json): Json =>
    isList(of) ? of.map((word) => [...(word as string)].map(each)) : [...(of as string)].map(each);
  switch (key) {
    case "$bits":
      return words((letter) => letter === "1");
    case "$digits":
      return words((letter) => Number.parseInt(letter, DIGITS));
    case "$range": {
      const [first, length] = of as readonly [number, number];
      return Array.from({ length }, (_, i) => first + i);
    }
    case "$as":
      return lists[of as number] ?? refuse(key);
    case "$runs":
      return (of as readonly Json[]).flatMap((item, i, all) =>
        i % 2 === 0 ? Array.from({ length: all[i + 1] as number }, () => item) : [],
      );
    case "$table": {
      const columns = Object.entries(keyed(of)).map(([name, column]) => [name, unpack(column, lists)] as const);
      const first = columns[0]?.[1] as readonly Json[];
      return first.map((_, row) => Object.fromEntries(columns.map(([name, column]) => [name, keyed(column)[row]!])));
    }
    case "$pairs":
      return Object.fromEntries(
        (of as readonly (readonly [string, Json])[]).map(([name, item]) => [name, unpack(item, lists)]),
      );
    default:
      return refuse(key);
  }
}

function refuse(key: string): never {
  throw new InputError(`${key} is nothing that is packed so`);
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

function isNames(list: readonly Json[]): list is readonly string[] {
  return list.length >= LEAST && list.every((item) => typeof item === "string");
}

function keyed(value: Json): { readonly [key: string]: Json } {
  return value as { readonly [key: string]: Json };
}
