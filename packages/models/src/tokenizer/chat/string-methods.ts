/** Methods of texts and maps that templates call, as Python's `str` and `dict` have them; and what filters share with them. */
import { spendText, spendList } from "./limits.ts";
import { filled } from "./python-format.ts";
import {
  callable,
  flag,
  int,
  isList,
  isMap,
  isNone,
  isText,
  itemsOf,
  list,
  NONE,
  given,
  text,
  tuple,
  typeName,
  type Arguments,
  type Value,
} from "./values.ts";

type Method<T> = (self: T, args: Arguments) => Value;

const SPACE_AT_START = /^\p{White_Space}+/u;
const SPACE_AT_END = /(?<!\p{White_Space})\p{White_Space}+$/u;

/** Without the characters at its ends, white space if none are named. */
export function stripped(t: string, characters: string | undefined, side: "left" | "right" | "both"): string {
  if (characters === undefined) {
    const left = side === "right" ? t : t.replace(SPACE_AT_START, "");
    return side === "left" ? left : left.replace(SPACE_AT_END, "");
  }
  const [points, strips] = [[...t], new Set(characters)];
  let [from, to] = [0, points.length];
  if (side !== "right") while (from < to && strips.has(points[from]!)) from++;
  if (side !== "left") while (to > from && strips.has(points[to - 1]!)) to--;
  return points.slice(from, to).join("");
}

export function replaced(t: string, old: string, by: string, count: number): string {
  const parts = old === "" ? ["", ...t, ""] : t.split(old);
  const times = Math.min(parts.length - 1, count < 0 ? Infinity : count);
  spendText(t.length + by.length * times);
  return parts.slice(0, times + 1).join(by) + (times < parts.length - 1 ? old + parts.slice(times + 1).join(old) : "");
}

export const capitalized = (t: string): string => {
  const [first = "", ...rest] = t;
  return first.toUpperCase() + rest.join("").toLowerCase();
};
export const titled = (t: string): string => t.replace(/\p{L}[\p{L}\p{M}]*/gu, capitalized);

const SPACES = /\p{White_Space}+/u;
function cut(t: string, separator: Value | undefined, most: number, fromRight: boolean): string[] {
  let parts: string[];
  let by: string;
  if (separator === undefined || isNone(separator)) {
    const trimmed = stripped(t, undefined, "both");
    if (trimmed === "") return [];
    if (most < 0) return trimmed.split(new RegExp(SPACES.source, "u"));
    // the rest keeps its own white space
    parts = trimmed.split(/(\p{White_Space}+)/u);
    const words = (parts.length + 1) / 2;
    const splits = Math.min(most, words - 1);
    const kept = fromRight ? parts.length - 2 * splits : 2 * splits;
    const whole = (items: string[]): string[] => items.filter((_, i) => i % 2 === 0);
    return fromRight
      ? [parts.slice(0, kept).join(""), ...whole(parts.slice(kept + 1))].filter((p, i) => i > 0 || p !== "")
      : [...whole(parts.slice(0, kept)), parts.slice(kept).join("")];
  }
  by = textOf(separator);
  if (by === "") throw new Error("empty separator");
  parts = t.split(by);
  if (most < 0 || parts.length - 1 <= most) return parts;
  return fromRight
    ? [parts.slice(0, parts.length - most).join(by), ...parts.slice(parts.length - most)]
    : [...parts.slice(0, most), parts.slice(most).join(by)];
}

function textOf(value: Value | undefined): string {
  if (value === undefined || !isText(value))
    throw new Error(`a text is needed, got ${value === undefined ? "nothing" : typeName(value)}`);
  return value.value;
}
const numberOr = (value: Value | undefined, otherwise: number): number =>
  value === undefined || isNone(value) ? otherwise : Number(value.value);
const strip =
  (side: "left" | "right" | "both"): Method<string> =>
  (t, { places: [characters] }) =>
    text(stripped(t, characters === undefined || isNone(characters) ? undefined : textOf(characters), side));
const split =
  (fromRight: boolean): Method<string> =>
  (t, { places, names }) => {
    const parts = cut(t, places[0] ?? names.get("sep"), numberOr(places[1] ?? names.get("maxsplit"), -1), fromRight);
    spendList(parts.length);
    return list(parts.map(text));
  };
const has =
  (test: (t: string, part: string) => boolean): Method<string> =>
  (t, { places: [part] }) =>
    flag(part !== undefined && isList(part) ? part.value.some((p) => test(t, textOf(p))) : test(t, textOf(part)));
const all =
  (pattern: RegExp): Method<string> =>
  (t) =>
    flag(pattern.test(t));
const find =
  (where: (t: string, part: string) => number): Method<string> =>
  (t, { places: [part] }) => {
    const at = where(t, textOf(part));
    return int(at < 0 ? at : Array.from(t.slice(0, at)).length);
  };
const padded =
  (pad: (t: string, lack: number, by: string) => string): Method<string> =>
  (t, { places: [width, by] }) => {
    const lack = Math.max(0, numberOr(width, 0) - [...t].length);
    spendText(lack);
    return text(pad(t, lack, by === undefined ? " " : textOf(by)));
  };

const OF_TEXTS: Readonly<Record<string, Method<string>>> = {
  capitalize: (t) => text(capitalized(t)),
  count: (t, { places: [part] }) => int(t.split(textOf(part)).length - 1),
  endswith: has((t, part) => t.endsWith(part)),
  find: find((t, part) => t.indexOf(part)),
  format: (t, args) => text(filled(t, args)),
  isalnum: all(/^[\p{L}\p{N}]+$/u),
  isalpha: all(/^\p{L}+$/u),
  isdigit: all(/^[\p{Nd}\u00b2\u00b3\u00b9]+$/u),
  islower: (t) => flag(t === t.toLowerCase() && t !== t.toUpperCase()),
  isspace: all(/^\p{White_Space}+$/u),
  isupper: (t) => flag(t === t.toUpperCase() && t !== t.toLowerCase()),
  join: (t, { places: [items] }) => {
    const parts = itemsOf(items ?? list([])).map(textOf);
    spendText(parts.reduce((sum, part) => sum + part.length + t.length, 0));
    return text(parts.join(t));
  },
  ljust: padded((t, lack, by) => t + by.repeat(lack)),
  lower: (t) => text(t.toLowerCase()),
  lstrip: strip("left"),
  partition: (t, { places: [part] }) => {
    const at = t.indexOf(textOf(part));
    const parts = at < 0 ? [t, "", ""] : [t.slice(0, at), textOf(part), t.slice(at + textOf(part).length)];
    return tuple(parts.map(text));
  },
  removeprefix: (t, { places: [part] }) => text(t.startsWith(textOf(part)) ? t.slice(textOf(part).length) : t),
  removesuffix: (t, { places: [part] }) =>
    text(t.endsWith(textOf(part)) ? t.slice(0, t.length - textOf(part).length) : t),
  replace: (t, { places: [old, by, count], names }) =>
    text(replaced(t, textOf(old), textOf(by), numberOr(count ?? names.get("count"), -1))),
  rfind: find((t, part) => t.lastIndexOf(part)),
  rjust: padded((t, lack, by) => by.repeat(lack) + t),
  rsplit: split(true),
  rstrip: strip("right"),
  split: split(false),
  splitlines: (t) => list((t === "" ? [] : t.replace(/(?:\r\n|[\n\r])$/u, "").split(/\r\n|[\n\r]/u)).map(text)),
  startswith: has((t, part) => t.startsWith(part)),
  strip: strip("both"),
  title: (t) => text(titled(t)),
  upper: (t) => text(t.toUpperCase()),
  zfill: padded((t, lack) => "0".repeat(lack) + t),
};

/** `d.items()`. */
export function pairs(map: ReadonlyMap<unknown, Value>): Value {
  spendList(map.size);
  return list(Array.from(map, ([key, value]) => tuple([given(key), value])));
}
const OF_MAPS: Readonly<Record<string, Method<ReadonlyMap<unknown, Value>>>> = {
  get: (map, { places: [key, otherwise] }) => map.get(key?.value) ?? otherwise ?? NONE,
  items: (map) => pairs(map),
  keys: (map) => list(Array.from(map.keys(), given)),
  values: (map) => list([...map.values()]),
};
/** Python has them, and its sandbox lets templates call none of them. */
const CHANGING = new Set([
  "append",
  "clear",
  "extend",
  "insert",
  "pop",
  "popitem",
  "remove",
  "setdefault",
  "sort",
  "update",
]);

/** The method of a value, or undefined. @throws for one that would change the value */
export function methodOf(self: Value, name: string): Value | undefined {
  if ((isMap(self) || isList(self)) && CHANGING.has(name))
    throw new Error(`access to attribute '${name}' of '${typeName(self)}' object is unsafe`);
  if (isText(self) && Object.hasOwn(OF_TEXTS, name))
    return callable((args) => {
      spendText(self.value.length);
      return OF_TEXTS[name]!(self.value, args);
    });
  if (isMap(self) && Object.hasOwn(OF_MAPS, name)) return callable((args) => OF_MAPS[name]!(self.value, args));
  return undefined;
}
