/** Jinja's filters of texts and numbers. Each takes whatever it gets for the text that it prints as, which is what Jinja does. */
import { spendText, LONGEST_TEXT } from "./limits.ts";
import { fixed, formatted } from "./python-format.ts";
import { pythonJson, pythonText } from "./python-text.ts";
import { capitalized, replaced, stripped, titled } from "./string-methods.ts";
import {
  argument,
  float,
  int,
  isList,
  isNone,
  isNumber,
  isText,
  isUndefined,
  numberOf,
  printed,
  text,
  truth,
  typeName,
  type Arguments,
  type Value,
} from "./values.ts";

export type Filter = (operand: Value, args: Arguments) => Value;

const ofText =
  (change: (text: string, args: Arguments) => string): Filter =>
  (operand, args) => {
    const changed = change(pythonText(operand), args);
    spendText(changed.length);
    return text(changed);
  };
const wholeOr = (value: Value | undefined, otherwise: number): number =>
  value === undefined ? otherwise : numberOf(value);
/** A number of spaces, or what stands for them. */
const spaces = (value: Value | undefined, otherwise: number): string => {
  if (value !== undefined && isText(value)) return value.value;
  const width = wholeOr(value, otherwise);
  spendText(width);
  return " ".repeat(Math.max(0, width));
};
const said = (value: Value | undefined): boolean => value !== undefined && truth(value);

const ESCAPED: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&#34;",
  "'": "&#39;",
};
const escape = ofText((t) => t.replace(/[&<>"']/g, (c) => ESCAPED[c]!));

const indent = ofText((t, args) => {
  const lead = spaces(argument(args, 0, "width"), 4);
  const [first, blank] = [said(argument(args, 1, "first")), said(argument(args, 2, "blank"))];
  const lines = t.split(/\r\n|[\n\r]/u);
  spendText(t.length + lead.length * lines.length);
  const indented = lines.map((line, i) => (i === 0 || (line === "" && !blank) ? line : lead + line)).join("\n");
  return first ? lead + indented : indented;
});

/** The longest text of whole words that spendText; what ends in the leeway stays as it is. */
const truncate = ofText((t, args) => {
  const length = wholeOr(argument(args, 0, "length"), 255);
  const end = pythonText(argument(args, 2, "end") ?? text("..."));
  const points = [...t];
  if (points.length <= length + wholeOr(argument(args, 3, "leeway"), 5)) return t;
  const cut = points.slice(0, Math.max(0, length - [...end].length)).join("");
  return (said(argument(args, 1, "killwords")) || !cut.includes(" ") ? cut : cut.slice(0, cut.lastIndexOf(" "))) + end;
});

const center = ofText((t, args) => {
  const width = wholeOr(argument(args, 0, "width"), 80);
  spendText(width);
  const lack = Math.max(0, width - [...t].length);
  const before = Math.floor(lack / 2) + (lack % 2) * (width % 2);
  return " ".repeat(before) + t + " ".repeat(lack - before);
});

/** A number of a text or a number; what is none gives the default. */
const numeric = (kind: "int" | "float"): Filter => {
  const make = kind === "int" ? (x: number): Value => int(Math.trunc(x)) : float;
  return (operand, args) => {
    if (isNumber(operand)) return make(numberOf(operand));
    const base = kind === "int" ? wholeOr(argument(args, 1, "base"), 10) : 10;
    if (isText(operand)) {
      const trimmed = operand.value.trim();
      if (base !== 10) {
        const found = parseInt(trimmed, base);
        if (!Number.isNaN(found)) return int(found);
      } else if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/iu.test(trimmed)) return make(Number(trimmed));
    }
    return argument(args, 0, "default") ?? make(0);
  };
};

const round: Filter = (operand, args) => {
  const digits = wholeOr(argument(args, 0, "precision"), 0);
  const method = pythonText(argument(args, 1, "method") ?? text("common"));
  if (!isNumber(operand) || Math.abs(digits) > 100) throw new Error(`round takes a number, got ${typeName(operand)}`);
  const [x, scale] = [numberOf(operand), 10 ** digits];
  if (method === "ceil") return float(Math.ceil(x * scale) / scale);
  if (method === "floor") return float(Math.floor(x * scale) / scale);
  return float(digits < 0 ? Math.round(x * scale) / scale : Number(fixed(x, digits)));
};

const json: Filter = (operand, args) => {
  const wanted = argument(args, 1, "indent");
  const separators = argument(args, 2, "separators");
  const parts = separators !== undefined && isList(separators) ? separators.value.map(pythonText) : undefined;
  const given = wanted !== undefined && !isNone(wanted) ? spaces(wanted, 0) : undefined;
  if ((given?.length ?? 0) > 1000) throw new Error("tojson is asked to indent by more than 1000 characters");
  return ofText(() =>
    pythonJson(operand, {
      indent: given,
      ...(parts === undefined ? {} : { separators: [parts[0] ?? "", parts[1] ?? ""] }),
      sortKeys: said(argument(args, 3, "sort_keys")),
      ensureAscii: said(argument(args, 0, "ensure_ascii")),
    }),
  )(operand, args);
};

const fallback: Filter = (operand, args) =>
  isUndefined(operand) || (said(argument(args, 1, "boolean")) && !truth(operand))
    ? (argument(args, 0, "default_value") ?? text(""))
    : operand;

export const TEXT_FILTERS: Readonly<Record<string, Filter>> = {
  abs: (operand) => (operand.type === "FloatValue" ? float : int)(Math.abs(numberOf(operand))),
  capitalize: ofText(capitalized),
  center,
  d: fallback,
  default: fallback,
  e: escape,
  escape,
  float: numeric("float"),
  format: (operand, { places }) => text(formatted(pythonText(operand), places)),
  indent,
  int: numeric("int"),
  lower: ofText((t) => t.toLowerCase()),
  replace: ofText((t, args) =>
    replaced(
      t,
      pythonText(argument(args, 0, "old") ?? text("")),
      pythonText(argument(args, 1, "new") ?? text("")),
      wholeOr(argument(args, 2, "count"), LONGEST_TEXT),
    ),
  ),
  round,
  safe: (operand) => printed(operand),
  string: (operand) => printed(operand),
  title: ofText(titled),
  tojson: json,
  trim: ofText((t, args) => {
    const characters = argument(args, 0, "chars");
    return stripped(t, characters === undefined || isNone(characters) ? undefined : pythonText(characters), "both");
  }),
  truncate,
  upper: ofText((t) => t.toUpperCase()),
  wordcount: (operand) => int((pythonText(operand).match(/[\p{L}\p{N}_]+/gu) ?? []).length),
};
