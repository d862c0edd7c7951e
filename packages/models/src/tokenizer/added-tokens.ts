/** Tokens that are cut out of a text before any model sees it: special ones, and words added after training. */
import { quote } from "@lowrank/tensor";
import { absent, fields, flag, listOf, refuse, type Place, type Rule } from "@lowrank/tensor/check";
import { alignedText, slice, type AlignedText } from "./aligned-text.ts";
import { WORD_CLASS } from "./characters.ts";
import type { Normalizer } from "./normalizer.ts";
import type { NewToken } from "./options.ts";
import { tokenId, type Vocabulary } from "./vocabulary.ts";

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Found only where no word character stands beside it. */
  readonly single_word: boolean;
  /** White space before it belongs to it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** Looked for in the normalized text, in its own normalized form. */
  readonly normalized: boolean;
  /** Left out by decoding. */
  readonly special: boolean;
}

/** Looking for a token takes time that grows with its length at every place of a text. */
const LONGEST_CONTENT = 1024;
export const addedContent: Rule<string> = {
  expects: `a string of 1 to ${LONGEST_CONTENT} characters`,
  read: (value, at) =>
    typeof value === "string" && value !== "" && value.length <= LONGEST_CONTENT
      ? value
      : refuse(at, `must be a string of 1 to ${LONGEST_CONTENT} characters, got ${quote(value)}`),
};

export const addedTokenList: Rule<AddedToken[] | undefined> = absent(
  listOf(
    fields<AddedToken>({
      id: tokenId,
      content: addedContent,
      single_word: flag,
      lstrip: flag,
      rstrip: flag,
      normalized: flag,
      special: flag,
    }),
  ),
);

/** A stretch of text, and the token that it is if it is one. */
export interface Stretch {
  readonly text: AlignedText;
  readonly token?: AddedToken;
}

const WORD_AT_END = new RegExp(`[${WORD_CLASS}]$`, "u");
const WORD_AT_START = new RegExp(`^[${WORD_CLASS}]`, "u");
const SPACE_AT_START = /^\p{White_Space}*/u;
const isSpace = (unit: string | undefined): boolean => unit !== undefined && /^\p{White_Space}$/u.test(unit);

/** Finds tokens from the left, the longest first. */
class Finder {
  /** By content, so that all that share a beginning stand together. */
  readonly #sorted: readonly { readonly find: string; readonly token: AddedToken }[];
  readonly #beginnings: ReadonlySet<number>;

  constructor(tokens: readonly { readonly find: string; readonly token: AddedToken }[]) {
    this.#sorted = tokens.filter((t) => t.find !== "").sort((a, b) => (a.find < b.find ? -1 : a.find > b.find ? 1 : 0));
    this.#beginnings = new Set(this.#sorted.map((t) => t.find.charCodeAt(0)));
  }

  split(whole: AlignedText): Stretch[] {
    const { text } = whole;
    const stretches: Stretch[] = [];
    let done = 0;
    for (let at = 0; at < text.length;) {
      const found = this.#beginnings.has(text.charCodeAt(at)) ? this.#longestAt(text, at) : undefined;
      if (found === undefined) {
        at++;
        continue;
      }
      const { token } = found;
      let [from, to] = [at, at + found.find.length];
      at = to;
      // what touches a word is passed over, not looked into
      if (
        token.single_word &&
        (WORD_AT_END.test(text.slice(Math.max(0, from - 2), from)) || WORD_AT_START.test(text.slice(to, to + 2)))
      )
        continue;
      if (token.lstrip) while (from > done && isSpace(text[from - 1])) from--;
      if (token.rstrip) to += SPACE_AT_START.exec(text.slice(to))![0].length;
      if (done < from) stretches.push({ text: slice(whole, done, from) });
      stretches.push({ text: slice(whole, from, to), token });
      // the search goes on behind the token, not behind white space that it took along: a token of spaces is found there once more
      done = to;
    }
    if (done < text.length) stretches.push({ text: done === 0 ? whole : slice(whole, done, text.length) });
    return stretches;
  }

  /** Narrows the range of tokens that agree with the text, unit by unit. */
  #longestAt(text: string, at: number): { readonly find: string; readonly token: AddedToken } | undefined {
    let [from, to] = [0, this.#sorted.length];
    let best: { readonly find: string; readonly token: AddedToken } | undefined;
    for (let depth = 0; at + depth < text.length && from < to; depth++) {
      const unit = text.charCodeAt(at + depth);
      from = this.#bound(from, to, depth, unit);
      to = this.#bound(from, to, depth, unit + 1);
      if (from < to && this.#sorted[from]!.find.length === depth + 1) best = this.#sorted[from]!;
    }
    return best;
  }

  /** First of [from, to) whose unit at `depth` is at least `unit`; shorter ones come before all. */
  #bound(from: number, to: number, depth: number, unit: number): number {
    while (from < to) {
      const middle = (from + to) >> 1;
      const { find } = this.#sorted[middle]!;
      if (depth >= find.length || find.charCodeAt(depth) < unit) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}

const AT_CALL: Place = { source: "withTokens", path: [], code: "ConfigError" };

export class AddedTokens {
  readonly #tokens: readonly AddedToken[];
  readonly #vocabulary: Vocabulary;
  readonly #normalize: Normalizer;
  readonly #raw: Finder;
  readonly #normalized: Finder;
  readonly #byContent = new Map<string, AddedToken>();
  readonly #byId = new Map<number, AddedToken>();
  /** Normalized forms that differ from the content: what decoding shows. */
  readonly #forms = new Map<number, string>();

  /** @throws LowrankError where tokens contradict each other or the vocabulary */
  constructor(tokens: readonly AddedToken[], vocabulary: Vocabulary, normalize: Normalizer, at: Place) {
    this.#tokens = tokens;
    this.#vocabulary = vocabulary;
    this.#normalize = normalize;
    for (const token of tokens) {
      const known = vocabulary.ids.get(token.content);
      if (known !== undefined && known !== token.id)
        refuse(
          at,
          `has the added token ${quote(token.content)} with id ${token.id}, but the vocabulary gives it ${known}`,
        );
      const other = this.#byId.get(token.id)?.content ?? vocabulary.tokens.get(token.id);
      if (other !== undefined && other !== token.content)
        refuse(at, `gives id ${token.id} to both ${quote(other)} and the added token ${quote(token.content)}`);
      if (this.#byContent.has(token.content)) refuse(at, `has the added token ${quote(token.content)} twice`);
      this.#byContent.set(token.content, token);
      this.#byId.set(token.id, token);
      if (token.normalized) {
        const form = normalize(alignedText(token.content)).text;
        if (form !== token.content) this.#forms.set(token.id, form);
      }
    }
    this.#raw = new Finder(tokens.filter((t) => !t.normalized).map((token) => ({ find: token.content, token })));
    this.#normalized = new Finder(
      tokens.filter((t) => t.normalized).map((token) => ({ find: this.#forms.get(token.id) ?? token.content, token })),
    );
  }

  /** These and more, with the ids behind the largest; a token that there is already keeps its id, and what it was otherwise is gone. */
  with(tokens: readonly (string | NewToken)[], at: Place = AT_CALL): AddedTokens {
    const added = new Map(this.#tokens.map((token) => [token.content, token]));
    let next = 0;
    for (const id of [...this.#vocabulary.tokens.keys(), ...this.#byId.keys()]) next = Math.max(next, id + 1);
    for (const token of tokens) {
      const given: NewToken = typeof token === "string" ? { content: token } : token;
      const known = this.#vocabulary.ids.get(given.content) ?? added.get(given.content)?.id;
      const special = given.special ?? false;
      added.set(given.content, {
        id: tokenId.read(known ?? next++, at),
        content: addedContent.read(given.content, at),
        single_word: given.singleWord ?? false,
        lstrip: given.lstrip ?? false,
        rstrip: given.rstrip ?? false,
        normalized: given.normalized ?? !special,
        special,
      });
    }
    return new AddedTokens([...added.values()], this.#vocabulary, this.#normalize, at);
  }

  get all(): Iterable<AddedToken> {
    return this.#byId.values();
  }
  withContent(text: string): AddedToken | undefined {
    return this.#byContent.get(text);
  }
  withId(id: number): AddedToken | undefined {
    return this.#byId.get(id);
  }
  /** What decoding shows of an added token. */
  shownAs(token: AddedToken): string {
    return this.#forms.get(token.id) ?? token.content;
  }

  /** Stretches of the input, normalized but for tokens; each is normalized by itself, none is empty. */
  extract(input: AlignedText, normalize: Normalizer): Stretch[] {
    const stretches: Stretch[] = [];
    for (const stretch of this.#raw.split(input)) {
      if (stretch.token !== undefined) stretches.push(stretch);
      else stretches.push(...this.#normalized.split(normalize(stretch.text)));
    }
    return stretches;
  }
}
