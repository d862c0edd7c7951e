/** JSON from outside: one line about what is wrong, and no keys that JavaScript takes for something else. */
import { FormatError } from "../errors.ts";

/** @throws FormatError naming the source */
export function parseJson(text: string, source: string): unknown {
  let value: unknown;
  try {
    // a byte order mark is white space to people and an error to JSON.parse
    value = JSON.parse(text.startsWith("\ufeff") ? text.slice(1) : text);
  } catch (cause) {
    throw new FormatError(`${source}: not valid JSON: ${(cause as Error).message}`, { cause });
  }
  // the reviver is slow and a vocabulary large: only where the key may occur
  if (/__proto__|\\u/.test(text)) forbidPrototype(value, source);
  return value;
}

function forbidPrototype(root: unknown, source: string): void {
  const open: unknown[] = [root];
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value !== "object" || value === null) continue;
    if (Object.hasOwn(value, "__proto__"))
      throw new FormatError(`${source}: "__proto__" is no key that a file may use`);
    // one at a time: a vocabulary has more words than a call takes arguments
    for (const inner of Object.values(value)) open.push(inner);
  }
}
