/** Values of the interpreter, and what Python does with any of them. The package does not export their classes; they are taken from values. */
import { Environment, Interpreter } from "@huggingface/jinja";
import { spend, spendList, spendText } from "./limits.ts";
import { pythonText } from "./python-text.ts";
import type { Value } from "./value.ts";

export type { Value } from "./value.ts";

type Make<T> = (value: T) => Value;

/** A value of JavaScript as a template sees it. */
export const given = (value: unknown): Value => new Environment().set("x", value) as unknown as Value;
const like = <T>(sample: Value): Make<T> => {
  const { constructor } = sample as unknown as { constructor: new (value: T) => Value };
  return (value) => new constructor(value);
};

export const int: Make<number> = like(given(1));
export const float: Make<number> = like(given(0.5));
export const text: Make<string> = like(given(""));
export const list: Make<readonly Value[]> = like(given([]));
export const map: Make<ReadonlyMap<unknown, Value>> = like(given({}));
export const flag: Make<boolean> = like(given(true));
export const tuple: Make<readonly Value[]> = like(
  new Interpreter().evaluate({ type: "TupleLiteral", value: [] } as never, new Environment()) as unknown as Value,
);
export const NONE: Value = given(null);
export const UNDEFINED: Value = given(undefined);

/** Arguments of a call: those by place, and those by name. */
export interface Arguments {
  readonly places: readonly Value[];
  readonly names: ReadonlyMap<string, Value>;
}
/** A function that templates can call. */
export function callable(run: (args: Arguments) => Value): Value {
  return like<(args: readonly Value[]) => Value>(given(() => null))((args) => {
    const last = args.at(-1);
    return last?.type === "KeywordArgumentsValue"
      ? run({ places: args.slice(0, -1), names: last.value as ReadonlyMap<string, Value> })
      : run({ places: args, names: new Map() });
  });
}
/** The argument at a place, or of a name. */
export const argument = ({ places, names }: Arguments, at: number, name: string): Value | undefined =>
  places[at] ?? names.get(name);

export const isText = (v: Value): v is Value & { readonly value: string } => v.type === "StringValue";
export const isList = (v: Value): v is Value & { readonly value: readonly Value[] } => Array.isArray(v.value);
export const isMap = (v: Value): v is Value & { readonly value: ReadonlyMap<unknown, Value> } =>
  v.type === "ObjectValue" || v.type === "KeywordArgumentsValue";
export const isUndefined = (v: Value): boolean => v.type === "UndefinedValue";
export const isNone = (v: Value): boolean => v.type === "NullValue";
/** True and False are 1 and 0, as ever in Python. */
export const isNumber = (v: Value): boolean => ["IntegerValue", "FloatValue", "BooleanValue"].includes(v.type);
export const numberOf = (v: Value): number => Number(v.value);

/** `bool(x)`. */
export function truth(v: Value): boolean {
  if (isList(v)) return v.value.length > 0;
  return v.value instanceof Map ? v.value.size > 0 || v.type === "NamespaceValue" : Boolean(v.value);
}

const NAMES: Readonly<Record<string, string>> = {
  IntegerValue: "int",
  FloatValue: "float",
  StringValue: "str",
  BooleanValue: "bool",
  ObjectValue: "dict",
  ArrayValue: "list",
  TupleValue: "tuple",
  NullValue: "NoneType",
  UndefinedValue: "Undefined",
  FunctionValue: "function",
  NamespaceValue: "Namespace",
};
/** The type as Python calls it. */
export const typeName = (v: Value): string => NAMES[v.type] ?? v.type;

/** `==`. */
export function equal(a: Value, b: Value): boolean {
  spend(1);
  if (isNumber(a) && isNumber(b)) return numberOf(a) === numberOf(b);
  if (a.type !== b.type) return false;
  if (isList(a) && isList(b))
    return a.value.length === b.value.length && a.value.every((x, i) => equal(x, (b.value as Value[])[i]!));
  if (isMap(a) && isMap(b))
    return (
      a.value.size === b.value.size && [...a.value].every(([key, x]) => b.value.has(key) && equal(x, b.value.get(key)!))
    );
  return isUndefined(a) || a.value === b.value;
}

/** What `<` says: below zero, zero, above. @throws for what has no order in Python */
export function compare(a: Value, b: Value): number {
  spend(1);
  if (isNumber(a) && isNumber(b)) return numberOf(a) - numberOf(b);
  if (isText(a) && isText(b)) return byPoints(a.value, b.value);
  if (isList(a) && isList(b) && a.type === b.type) {
    const at = a.value.findIndex((x, i) => i >= b.value.length || !equal(x, b.value[i]!));
    if (at < 0) return a.value.length - b.value.length;
    return at < b.value.length ? compare(a.value[at]!, b.value[at]!) : 1;
  }
  throw new Error(`'<' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}
/** Units of a pair sort below U+E000, and their character above. */
function byPoints(a: string, b: string): number {
  spendText(a.length + b.length);
  const [left, right] = [[...a], [...b]];
  const at = left.findIndex((c, i) => c !== right[i]);
  if (at < 0) return left.length - right.length;
  return at < right.length ? left[at]!.codePointAt(0)! - right[at]!.codePointAt(0)! : 1;
}

/** What a loop goes through. @throws for what it cannot */
export function itemsOf(v: Value): readonly Value[] {
  const items = allOf(v);
  spend(items.length);
  return items;
}
function allOf(v: Value): readonly Value[] {
  if (isList(v)) return v.value;
  if (isText(v)) {
    spendList(v.value.length);
    return Array.from(v.value, text);
  }
  if (isMap(v)) return Array.from(v.value.keys(), given);
  if (isUndefined(v)) return [];
  throw new Error(`'${typeName(v)}' object is not iterable`);
}

export function lengthOf(v: Value): number {
  if (!isText(v)) return isMap(v) ? v.value.size : allOf(v).length;
  spendText(v.value.length);
  return [...v.value].length;
}

/** `x in y`. */
export function contains(y: Value, x: Value): boolean {
  if (isText(y)) {
    spendText(y.value.length);
    if (isText(x)) return y.value.includes(x.value);
    throw new Error(`'in <string>' requires string as left operand, not ${typeName(x)}`);
  }
  return isMap(y) ? y.value.has(x.value) : itemsOf(y).some((item) => equal(item, x));
}

/** What is at `a.b.0` of a value, as filters name it. */
export function attributeOf(v: Value, path: Value): Value {
  let at = v;
  for (const key of isText(path) ? path.value.split(".") : [path.value]) {
    if (at.value instanceof Map) at = (at.value as ReadonlyMap<unknown, Value>).get(key) ?? UNDEFINED;
    else if (isList(at)) at = at.value[Number(key)] ?? UNDEFINED;
    else return UNDEFINED;
  }
  return at;
}

/** `str(x)` as a value. */
export const printed = (v: Value): Value => (isText(v) ? v : text(pythonText(v)));
