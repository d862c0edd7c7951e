/** Values of a template as Python prints them: `True`, `None`, `2.0`, `['a', {'b': 1}]`. */
import { pythonFloat } from "@lowrank/tensor/check";

/** A value as the interpreter holds it; lists and maps hold such values again. */
export interface TemplateValue {
  readonly type: string;
  readonly value: unknown;
}

/** `str(x)`. */
export function pythonText({ type, value }: TemplateValue): string {
  return type === "UndefinedValue" ? "" : typeof value === "string" ? value : repr({ type, value });
}

function repr({ type, value }: TemplateValue): string {
  if (type === "NullValue") return "None";
  if (type === "UndefinedValue") return "Undefined";
  if (type === "FloatValue") return pythonFloat(value as number);
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string") return quoted(value);
  if (Array.isArray(value)) {
    const items = (value as TemplateValue[]).map(repr).join(", ");
    return type === "TupleValue" ? `(${items}${value.length === 1 ? "," : ""})` : `[${items}]`;
  }
  if (value instanceof Map)
    return `{${[...(value as Map<string, TemplateValue>)].map(([key, item]) => `${quoted(key)}: ${repr(item)}`).join(", ")}}`;
  return String(value);
}

const ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };
/** In double quotes where there are single ones inside and no double ones. */
function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const body = text.replace(/[\\\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu, (c) => {
    const code = c.codePointAt(0)!;
    if (ESCAPES[c] !== undefined) return ESCAPES[c];
    const [letter, width] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
    return `\\${letter}${code.toString(16).padStart(width as number, "0")}`;
  });
  return quote + (quote === "'" ? body.replaceAll("'", "\\'") : body) + quote;
}
