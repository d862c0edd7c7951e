/** Damage: what transfers, editors, other writers and ill will do to files. Every draw comes from the stream, so a seed and a number give the same input again. */
import type { RandomStream } from "@lowrank/tensor";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const encoder = new TextEncoder();
const pick = <T>(random: RandomStream, items: readonly T[]): T => items[random.integer(items.length)]!;

/** Values that are wrong somewhere: other kinds, edges of ranges, spellings of flags, names that objects have. */
const NASTY: readonly Json[] = [
  null,
  true,
  false,
  0,
  -1,
  1,
  2,
  0.5,
  1.5,
  -0.1,
  1e300,
  -1e300,
  1e9,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  1e-320,
  "",
  "true",
  "8",
  "gelu",
  "LORA",
  "NaN",
  "Infinity",
  "../../etc/passwd",
  "/dev/zero",
  "__proto__",
  "constructor",
  "hasOwnProperty",
  "\u0000",
  "\ud800",
  "a\nb\u001b[31m",
  "(a|a|[a-z._0-9]+)+$X",
  "(",
  "a{1000000}",
  "(?=x)",
  [],
  [null],
  [1, -1],
  ["x", 3],
  {},
  { "": 1 },
  { length: 1e9 },
];

interface Slot {
  readonly holder: Json[] | { [key: string]: Json };
  readonly key: string | number;
}

/** Every place in the document, breadth first, at most so many. */
function slots(root: Json): Slot[] {
  const found: Slot[] = [];
  const open: Json[] = [root];
  for (let at = open.shift(); at !== undefined && found.length < 4000; at = open.shift()) {
    if (typeof at !== "object" || at === null) continue;
    for (const key of Array.isArray(at) ? at.keys() : Object.keys(at)) {
      found.push({ holder: at, key });
      open.push((at as Record<string | number, Json>)[key]!);
    }
  }
  return found;
}

function put(holder: Slot["holder"], key: string | number, value: Json): void {
  Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true });
}

/** One structural change, in place; returns the document, which may be another. */
function change(root: Json, random: RandomStream): Json {
  const all = slots(root);
  if (all.length === 0 || random.integer(40) === 0) return pick(random, NASTY);
  // names near the top matter most; half of the draws stay there
  const slot = random.integer(2) === 0 ? all[random.integer(Math.min(all.length, 24))]! : pick(random, all);
  const value = (slot.holder as Record<string | number, Json>)[slot.key]!;
  switch (random.integer(9)) {
    case 0:
    case 1:
    case 2:
      put(slot.holder, slot.key, structuredClone(pick(random, NASTY)));
      break;
    case 3:
      if (Array.isArray(slot.holder)) slot.holder.splice(Number(slot.key), 1);
      else delete slot.holder[slot.key];
      break;
    case 4:
      if (typeof value === "number")
        put(
          slot.holder,
          slot.key,
          pick(random, [-value, value + 1, value * 1000, value / 3, value * 2 ** 40, String(value)]),
        );
      break;
    case 5:
      if (typeof value === "string" && value !== "") {
        const at = random.integer(value.length);
        put(
          slot.holder,
          slot.key,
          pick(random, [
            value.slice(0, at),
            value + value,
            value.slice(0, at) + pick(random, ["x", "\u0000", "é", "\u200b", "."]) + value.slice(at + 1),
            value.repeat(50),
          ]),
        );
      }
      break;
    case 6:
      put(slot.holder, slot.key, [value]);
      break;
    case 7:
      if (!Array.isArray(slot.holder))
        put(
          slot.holder,
          pick(random, ["__proto__", "extra_key", `${slot.key}s`, String(slot.key).toUpperCase()]),
          value,
        );
      break;
    default:
      put(slot.holder, slot.key, (slot.holder as Record<string | number, Json>)[pick(random, all).key] ?? null);
  }
  return root;
}

/** One to `most` changes of a copy. */
export function mutateJson(document: Json, random: RandomStream, most: number = 4): Json {
  let copy = structuredClone(document);
  for (let n = 1 + random.integer(most); n > 0; n--) copy = change(copy, random);
  return copy;
}

/** Bytes changed, lost, doubled or added; sometimes none. */
export function mutateBytes(bytes: Uint8Array, random: RandomStream): Uint8Array {
  const out = Uint8Array.from(bytes);
  const at = random.integer(out.length + 1);
  switch (random.integer(8)) {
    case 0:
      return out.slice(0, at);
    case 1:
      return Uint8Array.from([
        ...out.slice(0, at),
        ...Array.from({ length: 1 + random.integer(16) }, () => random.integer(256)),
        ...out.slice(at),
      ]);
    case 2:
      for (let n = 1 + random.integer(8); n > 0 && out.length > 0; n--)
        out[random.integer(out.length)] = random.integer(256);
      return out;
    case 3:
      return Uint8Array.from([0xef, 0xbb, 0xbf, ...out]);
    case 4:
      return Uint8Array.from([...out.slice(0, at), 0, ...out.slice(at)]);
    case 5:
      if (out.length > 0) out[at % out.length]! ^= 1 << random.integer(8);
      return out;
    case 6:
      return Uint8Array.from([...out, ...out.slice(at)]);
    default:
      return out;
  }
}

/** A document as bytes: changed in its structure, in its bytes, or in both. */
export function damaged(
  document: Json,
  random: RandomStream,
  write: (document: Json) => string = JSON.stringify,
): Uint8Array {
  const structural = random.integer(4) !== 0;
  const text = write(structural ? mutateJson(document, random) : document) ?? "null";
  const bytes = encoder.encode(text);
  return structural && random.integer(4) !== 0 ? bytes : mutateBytes(bytes, random);
}
