/** Tokens and their ids, in both directions. */
import { quote } from "@lowrank/tensor";
import { refuse, type Rule } from "@lowrank/tensor/check";

export interface Vocabulary {
  readonly ids: ReadonlyMap<string, number>;
  readonly tokens: ReadonlyMap<number, string>;
  /** Length of the longest token in UTF-16 units. */
  readonly longest: number;
}

/** Ids beyond this belong to no embedding that fits into memory, and pairs of them to no exact number. */
export const LARGEST_ID: number = 2 ** 26 - 1;

export const isId = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= LARGEST_ID;
const ID_EXPECTED = `a whole number from 0 to ${LARGEST_ID}`;

export const tokenId: Rule<number> = {
  expects: ID_EXPECTED,
  read: (value, at) => (isId(value) ? value : refuse(at, `must be ${ID_EXPECTED}, got ${quote(value)}`)),
};

/** `{token: id, …}`, no id twice. */
export const vocabulary: Rule<Vocabulary> = {
  expects: "an object of tokens and their ids",
  read(value, at) {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      return refuse(at, `must be an object of tokens and their ids, got ${quote(value)}`);
    const ids = new Map<string, number>();
    const tokens = new Map<number, string>();
    let longest = 0;
    const given = value as Readonly<Record<string, unknown>>;
    // keys alone: pairs of a quarter of a million words are as large as their strings
    for (const token of Object.keys(given)) {
      const id = given[token];
      if (!isId(id)) return refuse({ ...at, path: [...at.path, token] }, `must be ${ID_EXPECTED}, got ${quote(id)}`);
      if (tokens.has(id)) return refuse(at, `gives id ${id} to both ${quote(tokens.get(id))} and ${quote(token)}`);
      ids.set(token, id);
      tokens.set(id, token);
      longest = Math.max(longest, token.length);
    }
    return { ids, tokens, longest };
  },
};
