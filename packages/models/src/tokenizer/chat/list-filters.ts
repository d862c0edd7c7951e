/** Jinja's filters of lists and maps, and its tests, which some of these take by name. */
import { spendText, spendList } from "./limits.ts";
import { pythonText, repr } from "./python-text.ts";
import { pairs } from "./string-methods.ts";
import { TEXT_FILTERS, type Filter } from "./text-filters.ts";
import {
  argument,
  attributeOf,
  compare,
  contains,
  equal,
  flag,
  float,
  int,
  isList,
  isMap,
  isNone,
  isNumber,
  isText,
  isUndefined,
  itemsOf,
  lengthOf,
  list,
  numberOf,
  text,
  truth,
  tuple,
  typeName,
  UNDEFINED,
  type Arguments,
  type Value,
} from "./values.ts";

type Test = (value: Value, other: Value) => boolean;
const whole = (v: Value): number => {
  if (!isNumber(v)) throw new Error(`a number is needed, got ${typeName(v)}`);
  return numberOf(v);
};
const remainder = (x: number, y: number): number => x - y * Math.floor(x / y);
const [eq, ne]: [Test, Test] = [equal, (a, b) => !equal(a, b)];
const lt: Test = (a, b) => compare(a, b) < 0;
const gt: Test = (a, b) => compare(a, b) > 0;
const le: Test = (a, b) => compare(a, b) <= 0;
const ge: Test = (a, b) => compare(a, b) >= 0;

const TESTS: Readonly<Record<string, Test>> = {
  "!=": ne,
  "<": lt,
  "<=": le,
  "==": eq,
  ">": gt,
  ">=": ge,
  boolean: (v) => v.type === "BooleanValue",
  callable: (v) => v.type === "FunctionValue",
  defined: (v) => !isUndefined(v),
  divisibleby: (v, by) => remainder(whole(v), whole(by)) === 0,
  eq,
  equalto: eq,
  even: (v) => remainder(whole(v), 2) === 0,
  false: (v) => v.value === false,
  float: (v) => v.type === "FloatValue",
  ge,
  greaterthan: gt,
  gt,
  in: (v, of) => contains(of, v),
  integer: (v) => v.type === "IntegerValue",
  iterable: (v) => isText(v) || isList(v) || isMap(v) || isUndefined(v),
  le,
  lessthan: lt,
  lower: (v) => pythonText(v) === pythonText(v).toLowerCase() && pythonText(v) !== pythonText(v).toUpperCase(),
  lt,
  mapping: isMap,
  ne,
  none: isNone,
  number: isNumber,
  odd: (v) => remainder(whole(v), 2) === 1,
  sameas: (a, b) => a === b || (!isList(a) && !isMap(a) && a.type === b.type && equal(a, b)),
  sequence: (v) => isText(v) || isList(v) || isMap(v) || isUndefined(v),
  string: isText,
  true: (v) => v.value === true,
  undefined: isUndefined,
  upper: (v) => pythonText(v) === pythonText(v).toUpperCase() && pythonText(v) !== pythonText(v).toLowerCase(),
};
/** Whether the value passes the test. @throws for a test that is not built */
export function tested(name: string, value: Value, other: Value = UNDEFINED): boolean {
  if (!Object.hasOwn(TESTS, name)) throw new Error(`there is no test '${name}'`);
  return TESTS[name]!(value, other);
}

/** What is looked at of an item. */
const attribute = (path: Value | undefined): ((item: Value) => Value) =>
  path === undefined || isNone(path) ? (item) => item : (item) => attributeOf(item, path);
/** Capitals and small letters are one, unless a template says otherwise. */
const folded = (v: Value): Value => (isText(v) ? text(v.value.toLowerCase()) : v);
const fold = (args: Arguments, at: number): ((v: Value) => Value) => {
  const sensitive = argument(args, at, "case_sensitive");
  return sensitive !== undefined && truth(sensitive) ? (v) => v : folded;
};
const sorted = (items: readonly Value[], key: (item: Value) => Value): Value[] =>
  items
    .map((item) => [key(item), item] as const)
    .sort(([a], [b]) => compare(a, b))
    .map(([, item]) => item);

function select(keeps: boolean, byAttribute: boolean): Filter {
  return (operand, { places }) => {
    const of = byAttribute ? attribute(places[0]) : (item: Value): Value => item;
    const [name, other] = byAttribute ? places.slice(1) : places;
    const test = (item: Value): boolean =>
      name === undefined ? truth(of(item)) : tested(pythonText(name), of(item), other);
    return list(itemsOf(operand).filter((item) => test(item) === keeps));
  };
}
function extreme(sign: 1 | -1): Filter {
  return (operand, args) => {
    const [of, fold_] = [attribute(argument(args, 1, "attribute")), fold(args, 0)];
    const items = itemsOf(operand);
    return items.reduce(
      (best, item) => (sign * compare(fold_(of(item)), fold_(of(best))) > 0 ? item : best),
      items[0] ?? UNDEFINED,
    );
  };
}
/** Rows of so many items. */
const batch: Filter = (operand, args) => {
  const [size, filling] = [whole(argument(args, 0, "linecount") ?? int(1)), argument(args, 1, "fill_with")];
  const items = itemsOf(operand);
  if (!(size >= 1)) throw new Error("batch needs at least one item a row");
  spendList(size);
  const rows = Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
  return list(
    rows.map((row) =>
      list(filling === undefined ? row : [...row, ...Array.from({ length: size - row.length }, () => filling)]),
    ),
  );
};
/** So many rows. */
const slice: Filter = (operand, args) => {
  const [count, filling] = [whole(argument(args, 0, "slices") ?? int(1)), argument(args, 1, "fill_with")];
  const items = itemsOf(operand);
  if (!(count >= 1)) throw new Error("slice needs at least one row");
  spendList(count);
  const [size, longer] = [Math.floor(items.length / count), items.length % count];
  return list(
    Array.from({ length: count }, (_, i) => {
      const row = items.slice(i * size + Math.min(i, longer), (i + 1) * size + Math.min(i + 1, longer));
      return list(filling !== undefined && i >= longer ? [...row, filling] : row);
    }),
  );
};

/** Equal for values that are equal. */
const keyOf = (v: Value): string => (isNumber(v) ? String(numberOf(v)) : repr(v));

export const LIST_FILTERS: Readonly<Record<string, Filter>> = {
  attr: (operand, { places: [name] }) => attributeOf(operand, name ?? UNDEFINED),
  batch,
  count: (operand) => int(lengthOf(operand)),
  dictsort(operand, args) {
    if (!isMap(operand)) throw new Error(`dictsort takes a dict, got ${typeName(operand)}`);
    const by = pythonText(argument(args, 1, "by") ?? text("key")) === "key" ? 0 : 1;
    const fold_ = fold(args, 0);
    const items = sorted(itemsOf(pairs(operand.value)), (pair) => fold_(itemsOf(pair)[by]!));
    return list(truth(argument(args, 2, "reverse") ?? flag(false)) ? items.reverse() : items);
  },
  first: (operand) => itemsOf(operand)[0] ?? UNDEFINED,
  groupby(operand, args) {
    const [of, fold_] = [attribute(argument(args, 0, "attribute")), fold(args, 2)];
    const groups: [Value, Value[]][] = [];
    for (const item of sorted(itemsOf(operand), (i) => fold_(of(i)))) {
      const last = groups.at(-1);
      if (last !== undefined && equal(fold_(last[0]), fold_(of(item)))) last[1].push(item);
      else groups.push([of(item), [item]]);
    }
    return list(groups.map(([key, items]) => tuple([key, list(items)])));
  },
  items(operand) {
    if (isUndefined(operand)) return list([]);
    if (!isMap(operand)) throw new Error("Can only get item pairs from a mapping.");
    return pairs(operand.value);
  },
  join(operand, args) {
    const of = attribute(argument(args, 1, "attribute"));
    const by = pythonText(argument(args, 0, "d") ?? text(""));
    const parts = itemsOf(operand).map((item) => pythonText(of(item)));
    spendText(parts.reduce((sum, part) => sum + part.length + by.length, 0));
    return text(parts.join(by));
  },
  last: (operand) => itemsOf(operand).at(-1) ?? UNDEFINED,
  length: (operand) => int(lengthOf(operand)),
  list: (operand) => list(itemsOf(operand)),
  map(operand, args) {
    const path = args.names.get("attribute");
    if (path !== undefined) {
      const otherwise = args.names.get("default");
      const of = attribute(path);
      return list(
        itemsOf(operand).map((item) => (isUndefined(of(item)) && otherwise !== undefined ? otherwise : of(item))),
      );
    }
    const [name, ...places] = args.places;
    if (name === undefined) throw new Error("map needs a filter or an attribute");
    return list(itemsOf(operand).map((item) => filtered(pythonText(name), item, { ...args, places })));
  },
  max: extreme(1),
  min: extreme(-1),
  reject: select(false, false),
  rejectattr: select(false, true),
  reverse: (operand) =>
    isText(operand) ? text([...operand.value].reverse().join("")) : list([...itemsOf(operand)].reverse()),
  select: select(true, false),
  selectattr: select(true, true),
  slice,
  sort(operand, args) {
    const [of, fold_] = [attribute(argument(args, 2, "attribute")), fold(args, 1)];
    const reverse = truth(argument(args, 0, "reverse") ?? flag(false));
    // equal items stay in their order in both directions
    const items = reverse ? [...itemsOf(operand)].reverse() : itemsOf(operand);
    const ordered = sorted(items, (item) => fold_(of(item)));
    return list(reverse ? ordered.reverse() : ordered);
  },
  sum(operand, args) {
    const of = attribute(argument(args, 0, "attribute"));
    const values = itemsOf(operand).map(of);
    const total = values.reduce((sum, v) => sum + whole(v), whole(argument(args, 1, "start") ?? int(0)));
    return values.some((v) => v.type === "FloatValue") ? float(total) : int(total);
  },
  unique(operand, args) {
    const [of, fold_] = [attribute(argument(args, 1, "attribute")), fold(args, 0)];
    const kept = new Map<string, Value>();
    for (const item of itemsOf(operand)) {
      const key = keyOf(fold_(of(item)));
      if (!kept.has(key)) kept.set(key, item);
    }
    return list([...kept.values()]);
  },
};

/** @throws for a filter that is not built */
export function filtered(name: string, operand: Value, args: Arguments): Value {
  const filter = Object.hasOwn(LIST_FILTERS, name)
    ? LIST_FILTERS[name]
    : Object.hasOwn(TEXT_FILTERS, name)
      ? TEXT_FILTERS[name]
      : undefined;
  if (filter === undefined) throw new Error(`there is no filter '${name}'`);
  return filter(operand, args);
}
