/**
 * JSON in fewer bytes that people still read, and that comes back exactly: lists of like objects as columns (`$table`), small whole numbers as digits
 * (`$digits`, base 36), numbers in a row by the first and how many (`$range`), truth values as `$bits`, what repeats as `$runs` of value and count, and names that were listed before as `$as` with the
 * place of that list. An object with a key of its own that begins with `$` is kept as `$pairs`. It is read by `unpacked-json.ts`.
 */
import { objectOf } from "./run-files.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Shorter lists stay as they are. */
export const LEAST = 4;
export const DIGITS = 36;

/**
 * How many items all `$runs` and `$range`s of a value, and rows of its `$table`s, come to: a few letters say any number, and who reads must not run out of
 * memory. Evaluations have some ten thousand; what is longer is written out.
 */
export class Room {
  static readonly ITEMS: number = 2 ** 22;
  #left = Room.ITEMS;

  /** Whether there is room for so many more; they are counted then. */
  takes(items: number): boolean {
    if (items > this.#left) return false;
    this.#left -= items;
    return true;
  }
}

interface Packing {
  /** Lists of names that were met, and their places. */
  readonly lists: Map<string, number>;
  readonly room: Room;
}

/** @param value JSON: no undefined, and no number that is not finite */
export function packed(value: unknown): unknown {
  return pack(value as Json, { lists: new Map(), room: new Room() });
}

function pack(value: Json, packing: Packing): Json {
  if (isList(value)) return packList(value, packing);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  if (entries.some(([key]) => key.startsWith("$")))
    return { $pairs: entries.map(([key, item]) => [key, pack(item, packing)]) };
  return Object.fromEntries(entries.map(([key, item]) => [key, pack(item, packing)]));
}

function packList(list: readonly Json[], packing: Packing): Json {
  const { lists, room } = packing;
  if (isNames(list)) {
    // the same word again and again is no list of names
    const repeated = runs(list, room);
    if (repeated !== undefined) return repeated;
    const key = JSON.stringify(list);
    const known = lists.get(key);
    if (known !== undefined) return { $as: known };
    lists.set(key, lists.size);
    return list;
  }
  const plain =
    range(list, room) ??
    worded(list, "$bits", bitsOf) ??
    worded(list, "$digits", digitsOf) ??
    (list.length >= LEAST && list.every((item) => typeof item !== "object" || item === null)
      ? runs(list, room)
      : undefined);
  if (plain !== undefined) return plain;
  const columns = columnsOf(list);
  if (columns === undefined || !room.takes(list.length)) return list.map((item) => pack(item, packing));
  return {
    $table: Object.fromEntries(
      columns.map((key) => [
        key,
        packList(
          list.map((row) => keyed(row)[key]!),
          packing,
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
function range(list: readonly Json[], room: Room): Json | undefined {
  const [first] = list;
  if (list.length < LEAST || typeof first !== "number" || !Number.isSafeInteger(first + list.length)) return undefined;
  return list.every((item, i) => item === first + i) && room.takes(list.length)
    ? { $range: [first, list.length] }
    : undefined;
}

/** Undefined where it is no shorter. */
function runs(list: readonly Json[], room: Room): Json | undefined {
  const pairs: Json[] = [];
  for (const [i, item] of list.entries()) {
    if (i > 0 && Object.is(item, list[i - 1])) (pairs[pairs.length - 1] as number)++;
    else pairs.push(item, 1);
  }
  return pairs.length < list.length && room.takes(list.length) ? { $runs: pairs } : undefined;
}

/** Keys that every one of the rows has, in one order. */
function columnsOf(list: readonly Json[]): string[] | undefined {
  if (list.length < 2) return undefined;
  const keys = list.map((row) => (objectOf(row) === undefined ? undefined : Object.keys(keyed(row))));
  const first = keys[0];
  if (first === undefined || first.length === 0) return undefined;
  return keys.every((of) => of?.length === first.length && of.every((key, c) => key === first[c])) ? first : undefined;
}

export function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

export function isNames(list: readonly Json[]): list is readonly string[] {
  return list.length >= LEAST && list.every((item) => typeof item === "string");
}

function keyed(value: Json): { readonly [key: string]: Json } {
  return value as { readonly [key: string]: Json };
}
