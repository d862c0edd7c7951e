/** Reads what `packed-json.ts` writes. Of what somebody else wrote nothing is taken for granted: it is refused by the key that does not hold what it should. */
import { InputError } from "../errors.ts";
import { DIGITS, isList, isNames, Room, type Json } from "./packed-json.ts";
import { objectOf } from "./run-files.ts";

interface Unpacking {
  /** Lists of names that were met, by their places. */
  readonly lists: (readonly Json[])[];
  readonly room: Room;
}

/** What `packed` was given. @throws InputError for what it does not make */
export function unpacked(value: unknown): unknown {
  return unpack(value as Json, { lists: [], room: new Room() });
}

function unpack(value: Json, unpacking: Unpacking): Json {
  if (isList(value)) {
    if (isNames(value)) unpacking.lists.push(value);
    return value.map((item) => unpack(item, unpacking));
  }
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value) as [string, Json][];
  const [key, of] = entries.find(([name]) => name.startsWith("$")) ?? [];
  if (key === undefined) return Object.fromEntries(entries.map(([name, item]) => [name, unpack(item, unpacking)]));
  // such a key stands alone
  return entries.length === 1 ? unpackKey(key, of!, unpacking) : refuse(key);
}

function unpackKey(key: string, of: Json, unpacking: Unpacking): Json {
  switch (key) {
    case "$bits":
      return words(key, of, /^[01]*$/, (letter) => letter === "1");
    case "$digits":
      return words(key, of, /^[0-9a-z]*$/, (letter) => Number.parseInt(letter, DIGITS));
    case "$range": {
      const [first, count, ...more] = listOf(key, of);
      if (typeof first !== "number" || more.length > 0) return refuse(key);
      return Array.from({ length: counted(key, count, unpacking) }, (_, i) => first + i);
    }
    case "$as":
      return Number.isInteger(of) ? (unpacking.lists[of as number] ?? refuse(key)) : refuse(key);
    case "$runs":
      return listOf(key, of).flatMap((item, i, all) => {
        if (i % 2 === 1) return [];
        return Array.from({ length: counted(key, all[i + 1], unpacking) }, () => item);
      });
    case "$table":
      return tableOf(key, of, unpacking);
    case "$pairs":
      return Object.fromEntries(
        listOf(key, of).map((pair) => {
          const [name, item, ...more] = listOf(key, pair);
          if (typeof name !== "string" || item === undefined || more.length > 0) refuse(key);
          return [name, unpack(item!, unpacking)];
        }),
      );
    default:
      return refuse(key);
  }
}

/** Of one word, or of a list of them. */
function words(key: string, of: Json, known: RegExp, each: (letter: string) => Json): Json {
  const word = (said: Json): Json => (typeof said === "string" && known.test(said) ? [...said].map(each) : refuse(key));
  return isList(of) ? of.map(word) : word(of);
}

function tableOf(key: string, of: Json, unpacking: Unpacking): Json {
  const columns = Object.entries(objectOf(of) ?? refuse(key)).map(
    ([name, column]) => [name, listOf(key, unpack(column as Json, unpacking))] as const,
  );
  const [[, first] = refuse(key)] = columns;
  if (columns.some(([, column]) => column.length !== first.length)) refuse(key);
  counted(key, first.length, unpacking);
  return first.map((_, row) => Object.fromEntries(columns.map(([name, column]) => [name, column[row]!])));
}

/** What comes so many times. */
function counted(key: string, count: Json | undefined, { room }: Unpacking): number {
  if (typeof count !== "number" || !Number.isInteger(count) || count < 1) return refuse(key);
  if (!room.takes(count)) throw new InputError(`${key} comes to more items than lines have (${Room.ITEMS} in all)`);
  return count;
}

function listOf(key: string, of: Json): readonly Json[] {
  return isList(of) ? of : refuse(key);
}

function refuse(key: string): never {
  throw new InputError(`${key} is nothing that is packed so`);
}
