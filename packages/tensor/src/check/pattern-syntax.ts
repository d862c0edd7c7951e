/**
 * The syntax of Python's `re` (3.11) as a tree: literals, classes, groups, alternation, repetition, anchors. What a machine without memory
 * of what it has read cannot do (look-around, back-references, possessive and atomic parts) is refused by name.
 */
import { LowrankError, quote } from "../errors.ts";

/** Whether a code point is taken. */
export type Test = (code: number) => boolean;
/** Whether a place fits, from the code points around it, -1 beyond the ends; `last`: `after` is the last of the text. */
export type Place = (before: number, after: number, last: boolean) => boolean;

export type Node =
  | { readonly kind: "one"; readonly test: Test }
  | { readonly kind: "place"; readonly holds: Place }
  | { readonly kind: "all"; readonly parts: readonly Node[] }
  | { readonly kind: "either"; readonly ways: readonly Node[] }
  | { readonly kind: "many"; readonly part: Node; readonly min: number; readonly max: number; readonly lazy: boolean };

export interface SyntaxOptions {
  /** Takes `\p{…}` and `\P{…}` as well, which tokenizers use and Python does not know. */
  readonly properties?: boolean;
}

/** Groups in groups; Python gives up at about a thousand. */
const DEEPEST = 200;

const NEWLINE = 10;
const is =
  (expression: RegExp): Test =>
  (code) =>
    code >= 0 && expression.test(String.fromCodePoint(code));
const not =
  (test: Test): Test =>
  (code) =>
    !test(code);
const digit = is(/\p{Nd}/u);
const word = is(/[\p{L}\p{N}_]/u);
const blank = is(/[\t-\r\p{Z}\x85]/u);
/** What str.isspace takes: the separators of files, groups, records and units too. */
const space: Test = (code) => blank(code) || (code >= 28 && code <= 31);
const SHORT: Readonly<Record<string, Test>> = {
  d: digit,
  D: not(digit),
  w: word,
  W: not(word),
  s: space,
  S: not(space),
};
const CONTROL: Readonly<Record<string, number>> = { a: 7, b: 8, t: 9, n: NEWLINE, v: 11, f: 12, r: 13, "\\": 92 };
const HEX: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

const beginning: Place = (before) => before < 0;
const end: Place = (_, after) => after < 0;
const boundary: Place = (before, after) => word(before) !== word(after);
const PLACES: Readonly<Record<string, Place>> = {
  "^": beginning,
  A: beginning,
  Z: end,
  $: (_, after, last) => after < 0 || (last && after === NEWLINE),
  // an empty text has neither, until Python 3.14
  b: boundary,
  B: (before, after) => (before >= 0 || after >= 0) && word(before) === word(after),
};

const REFUSED: readonly (readonly [string, string])[] = [
  ["?=", "look-ahead"],
  ["?!", "look-ahead"],
  ["?<=", "look-behind"],
  ["?<!", "look-behind"],
  ["?>", "an atomic group"],
  ["?(", "a conditional"],
  ["?P=", "a back-reference"],
];

class Parser {
  readonly #source: string;
  readonly #letters: readonly string[];
  readonly #where: string;
  readonly #properties: boolean;
  #at = 0;
  #depth = 0;
  #ignoreCase = false;

  constructor(source: string, where: string, options: SyntaxOptions) {
    this.#source = source;
    this.#letters = [...source];
    this.#where = where;
    this.#properties = options.properties === true;
  }

  whole(): Node {
    if (this.#takes("(?i)")) this.#ignoreCase = true;
    const tree = this.#either();
    return this.#at === this.#letters.length ? tree : this.#fail('has a ")" too many');
  }

  #fail(why: string): never {
    throw new LowrankError(
      "PatternError",
      `${this.#where}: ${quote(this.#source)} is not a regular expression that is taken here: it ${why} (at ${this.#at}); the syntax is that of Python's re, without what takes more than linear time`,
    );
  }

  #peek(): string | undefined {
    return this.#letters[this.#at];
  }
  #next(): string {
    return this.#letters[this.#at++] ?? this.#fail("ends too early");
  }
  #takes(text: string): boolean {
    const found = [...text].every((letter, i) => this.#letters[this.#at + i] === letter);
    if (found) this.#at += text.length;
    return found;
  }

  #either(): Node {
    const ways = [this.#all()];
    while (this.#takes("|")) ways.push(this.#all());
    return ways.length === 1 ? ways[0]! : { kind: "either", ways };
  }

  #all(): Node {
    const parts: Node[] = [];
    for (let letter = this.#peek(); letter !== undefined && letter !== "|" && letter !== ")"; letter = this.#peek()) {
      const times = this.#times();
      if (times === undefined) {
        const part = this.#part();
        if (part !== undefined) parts.push(part);
        continue;
      }
      const part = parts.pop();
      if (part === undefined || part.kind === "place") this.#fail("repeats nothing");
      if (part.kind === "many") this.#fail("repeats a repetition; put a group around the inner one");
      if (times.max < times.min) this.#fail("has a repetition whose least is more than its most");
      const lazy = this.#takes("?");
      if (!lazy && this.#takes("+")) this.#fail("has a possessive repetition, which is not taken");
      parts.push({ kind: "many", part, ...times, lazy });
    }
    return { kind: "all", parts };
  }

  /** `*`, `+`, `?` or braces that are a repetition: otherwise they stand for themselves. */
  #times(): { min: number; max: number } | undefined {
    if (this.#takes("*")) return { min: 0, max: Infinity };
    if (this.#takes("+")) return { min: 1, max: Infinity };
    if (this.#takes("?")) return { min: 0, max: 1 };
    const from = this.#at;
    if (!this.#takes("{") || this.#peek() === "}") return this.#back(from);
    const low = this.#digits();
    const comma = this.#takes(",");
    const high = comma ? this.#digits() : low;
    if (!this.#takes("}")) return this.#back(from);
    return { min: low === "" ? 0 : Number(low), max: high === "" ? Infinity : Number(high) };
  }

  #back(to: number): undefined {
    this.#at = to;
  }

  #digits(): string {
    let out = "";
    while (/^[0-9]$/.test(this.#peek() ?? "")) out += this.#next();
    return out;
  }

  #part(): Node | undefined {
    const letter = this.#next();
    if (letter === "(") return this.#group();
    if (letter === "[") return this.#class();
    if (letter === ".") return { kind: "one", test: (code) => code !== NEWLINE };
    if (letter === "^" || letter === "$") return { kind: "place", holds: PLACES[letter]! };
    if (letter !== "\\") return this.#literal(letter.codePointAt(0)!);
    const escaped = this.#peek();
    if (escaped !== undefined && escaped !== "^" && escaped !== "$" && Object.hasOwn(PLACES, escaped))
      return { kind: "place", holds: PLACES[this.#next()]! };
    const meant = this.#escape();
    return typeof meant === "number" ? this.#literal(meant) : { kind: "one", test: meant };
  }

  #literal(wanted: number): Node {
    const folded = fold(wanted);
    return {
      kind: "one",
      test: this.#ignoreCase ? (code) => code === wanted || fold(code) === folded : (code) => code === wanted,
    };
  }

  #group(): Node | undefined {
    for (const [form, name] of REFUSED) if (this.#takes(form)) this.#fail(`has ${name}, which is not taken`);
    if (this.#takes("?#")) {
      while (this.#next() !== ")") {
        /* a comment */
      }
      return undefined;
    }
    if (this.#takes("?P<")) {
      let name = "";
      for (let letter = this.#next(); letter !== ">"; letter = this.#next()) name += letter;
      if (!/^[\p{L}_][\p{L}\p{N}_]*$/u.test(name)) this.#fail(`has a group with the name ${quote(name)}`);
    }
    const outside = this.#ignoreCase;
    if (this.#takes("?i:")) this.#ignoreCase = true;
    else if (!this.#takes("?:") && this.#peek() === "?")
      this.#fail(
        'has a flag or a kind of group that is not taken; "(?i)" at the beginning, "(?i:…)", "(?:…)" and "(?P<name>…)" are',
      );
    if (++this.#depth > DEEPEST) this.#fail(`has more than ${DEEPEST} groups in one another`);
    const inner = this.#either();
    if (!this.#takes(")")) this.#fail('lacks a ")"');
    this.#depth--;
    this.#ignoreCase = outside;
    return { kind: "all", parts: [inner] };
  }

  #class(): Node {
    const inverted = this.#takes("^");
    const tests: Test[] = [];
    for (let letter = this.#next(); letter !== "]" || tests.length === 0; letter = this.#next()) {
      const from = letter === "\\" ? this.#escape() : letter.codePointAt(0)!;
      const range = this.#peek() === "-" && this.#letters[this.#at + 1] !== "]";
      if (!range) {
        tests.push(typeof from === "number" ? (code) => code === from : from);
        continue;
      }
      this.#next();
      const last = this.#next();
      const to = last === "\\" ? this.#escape() : last.codePointAt(0)!;
      if (typeof from !== "number" || typeof to !== "number" || to < from)
        return this.#fail("has a bad range in a class");
      tests.push((code) => code >= from && code <= to);
    }
    const any: Test = (code) => tests.some((test) => test(code));
    const cased: Test = this.#ignoreCase ? (code) => cases(code).some(any) : any;
    return { kind: "one", test: inverted ? not(cased) : cased };
  }

  /** What stands after a backslash: a code point, or a class of them. */
  #escape(): number | Test {
    const letter = this.#next();
    if (Object.hasOwn(SHORT, letter)) return SHORT[letter]!;
    if (Object.hasOwn(CONTROL, letter)) return CONTROL[letter]!;
    if (Object.hasOwn(HEX, letter)) {
      const length = HEX[letter]!;
      const text = this.#letters.slice(this.#at, (this.#at += length)).join("");
      const code = /^[0-9a-fA-F]+$/.test(text) && text.length === length ? parseInt(text, 16) : Infinity;
      return code <= 0x10ffff ? code : this.#fail(`has a bad escape \\${letter}`);
    }
    if (this.#properties && (letter === "p" || letter === "P")) return this.#property(letter === "P");
    if (/^[0-9]$/.test(letter)) return this.#fail("has a back-reference or an octal escape, which are not taken");
    return /^[A-Za-z]$/.test(letter)
      ? this.#fail(`has an escape \\${letter}, which is not known`)
      : letter.codePointAt(0)!;
  }

  #property(inverted: boolean): Test {
    let name = this.#next();
    if (name === "{") {
      name = "";
      for (let letter = this.#next(); letter !== "}"; letter = this.#next()) name += letter;
    }
    if (!/^\w+$/.test(name)) return this.#fail(`has an unknown property ${quote(name)}`);
    try {
      return is(new RegExp(`\\${inverted ? "P" : "p"}{${name}}`, "u"));
    } catch {
      return this.#fail(`has an unknown property ${quote(name)}`);
    }
  }
}

/** One code point for all that differ by case only. */
function fold(code: number): number {
  return cases(code)[3]!;
}

function cases(code: number): readonly number[] {
  if (code < 0) return [code, code, code, code];
  const text = String.fromCodePoint(code);
  const single = (other: string): number => ([...other].length === 1 ? other.codePointAt(0)! : code);
  const upper = single(text.toUpperCase());
  return [code, single(text.toLowerCase()), upper, single(String.fromCodePoint(upper).toLowerCase())];
}

/** @throws LowrankError (PatternError) on what Python refuses too, and on what takes more than linear time */
export function parsePattern(source: string, where: string, options: SyntaxOptions = {}): Node {
  return new Parser(source, where, options).whole();
}
