/** Functions that chat templates find: Jinja's `range` and `dict`, transformers' `strftime_now` and `raise_exception`. */
import { spendList } from "./limits.ts";
import { pythonText } from "./python-text.ts";
import {
  callable,
  given,
  int,
  isNumber,
  list,
  map,
  numberOf,
  text,
  typeName,
  type Arguments,
  type Value,
} from "./values.ts";

function range({ places }: Arguments): Value {
  const wrong = places.find((v) => !isNumber(v) || !Number.isInteger(numberOf(v)));
  if (wrong !== undefined) throw new Error(`range takes whole numbers, got ${typeName(wrong)}`);
  const [first = 0, second, step = 1] = places.map(numberOf);
  const [from, to] = second === undefined ? [0, first] : [first, second];
  if (step === 0) throw new Error("range() arg 3 must not be zero");
  const count = Math.max(0, Math.ceil((to - from) / step));
  spendList(count);
  return list(Array.from({ length: count }, (_, i) => int(from + i * step)));
}

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = "January February March April May June July August September October November December".split(" ");
const padded = (n: number, width: number = 2): string => String(n).padStart(width, "0");
const DAY = 86_400_000;

/** English names whatever the locale, since models were trained on those. */
const DIRECTIVES: Readonly<Record<string, (now: Date) => string>> = {
  "%": () => "%",
  A: (now) => DAYS[now.getDay()]!,
  a: (now) => DAYS[now.getDay()]!.slice(0, 3),
  B: (now) => MONTHS[now.getMonth()]!,
  b: (now) => MONTHS[now.getMonth()]!.slice(0, 3),
  d: (now) => padded(now.getDate()),
  H: (now) => padded(now.getHours()),
  I: (now) => padded(now.getHours() % 12 || 12),
  j: (now) =>
    padded(
      1 +
        Math.round((Date.UTC(now.getFullYear(), now.getMonth(), now.getDate()) - Date.UTC(now.getFullYear(), 0)) / DAY),
      3,
    ),
  M: (now) => padded(now.getMinutes()),
  m: (now) => padded(now.getMonth() + 1),
  p: (now) => (now.getHours() < 12 ? "AM" : "PM"),
  S: (now) => padded(now.getSeconds()),
  w: (now) => String(now.getDay()),
  Y: (now) => String(now.getFullYear()),
  y: (now) => padded(now.getFullYear() % 100),
};
/** Of now, in local time. @throws for a directive that is not built */
export function strftime(format: string, now: Date = new Date()): string {
  return format.replace(/%(-?)([\s\S]?)/gu, (directive, bare: string, letter: string) => {
    const write = Object.hasOwn(DIRECTIVES, letter) ? DIRECTIVES[letter] : undefined;
    if (write === undefined) throw new Error(`strftime_now: ${directive} is not built`);
    return bare === "" ? write(now) : write(now).replace(/^0+(?=.)/u, "");
  });
}

export const GLOBALS: Readonly<Record<string, Value>> = {
  dict: callable(({ names }) => map(new Map(names))),
  raise_exception: callable(({ places: [message] }) => {
    throw new Error(message === undefined ? "the template refuses the messages" : pythonText(message));
  }),
  range: callable(range),
  strftime_now: callable(({ places: [format] }) => text(strftime(format === undefined ? "" : pythonText(format)))),
};
/** Words of the language, in both spellings; no variable has their names. */
export const WORDS: Readonly<Record<string, Value>> = Object.fromEntries(
  (
    [
      ["true", true],
      ["false", false],
      ["none", null],
    ] as const
  ).flatMap(([name, value]) => [
    [name, given(value)],
    [name[0]!.toUpperCase() + name.slice(1), given(value)],
  ]),
);
