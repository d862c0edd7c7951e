/** Spellings of Jinja that the interpreter's parser does not know, as ones that it knows. */

/** As the lexer of the package writes them. */
interface Token {
  readonly type: string;
  readonly value: string;
}
const token = (type: string, value: string): Token => ({ type, value });
const name = (value: string): Token => token("Identifier", value);

/** Filters that tests with an argument become: `x is divisibleby(3)` is `x | is:divisibleby(3)`. No template can spell the colon. */
export const IS = "is:";
export const IS_NOT = "is not:";
/** The variable of the loop that a `with` becomes. */
export const WITH = "with:";

const LITERALS = new Set(["NumericLiteral", "StringLiteral", "Identifier"]);
/** What may follow a test that has no argument. */
const WORDS = new Set(["and", "or", "not", "in", "is", "if", "else"]);

export function respelt(tokens: readonly Token[]): Token[] {
  const out: Token[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const { type, value } = tokens[at]!;
    const next = tokens[at + 1];
    const numeral = type === "NumericLiteral" ? numeralAt(tokens, at) : undefined;
    if (numeral !== undefined) {
      out.push(token("NumericLiteral", numeral.text));
      at += numeral.length - 1;
    } else if (type === "Identifier" && value === "is") {
      const negated = next?.value === "not" && next.type === "Identifier";
      const test = tokens[at + (negated ? 2 : 1)];
      const rest = at + (negated ? 3 : 2);
      const argument = test?.type === "Identifier" ? argumentAt(tokens, rest) : 0;
      if (argument === 0) {
        out.push(tokens[at]!);
        continue;
      }
      out.push(token("Pipe", "|"), name((negated ? IS_NOT : IS) + test!.value));
      at = rest - 1;
      if (argument === undefined) continue;
      // an argument without parentheses
      out.push(token("OpenParen", "("), ...tokens.slice(rest, rest + argument), token("CloseParen", ")"));
      at += argument;
    } else if (type === "OpenStatement" && next?.type === "Identifier" && next.value === "with") {
      const end = tokens.findIndex((t, i) => i > at && t.type === "CloseStatement");
      const body = tokens.slice(at + 2, end < 0 ? undefined : end);
      const close = token("CloseStatement", "%}");
      out.push(tokens[at]!, name("for"), name(WITH), name("in"), token("NumericLiteral", "0"), close);
      for (const assignment of assignments(respelt(body))) out.push(tokens[at]!, name("set"), ...assignment, close);
      at = end < 0 ? tokens.length : end;
    } else if (type === "Identifier" && value === "endwith" && tokens[at - 1]?.type === "OpenStatement")
      out.push(name("endfor"));
    else out.push(tokens[at]!);
  }
  return out;
}

/** Numerals of Jinja (its `integer_re` and `float_re`), of which the package's lexer knows digits and a point only; it may have put the sign before. */
const DIGITS = String.raw`\d+(?:_\d+)*`;
const INTEGER = new RegExp(`^[+-]?(?:${DIGITS}|0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\\da-f])+)$`, "iu");
const FLOAT = new RegExp(`^[+-]?${DIGITS}(?:\\.${DIGITS})?(?:e[+-]?${DIGITS})?$`, "iu");
/** Tokens that the longest one is cut into: `1`, `_0`, `.`, `5`, `_0e`, `-`, `1`, `_0`. */
const PARTS = 8;

/** The numeral that several tokens spell, as one that the package reads. What is put together stands for no expression otherwise. */
function numeralAt(
  tokens: readonly Token[],
  at: number,
): { readonly text: string; readonly length: number } | undefined {
  if (tokens[at + 1]?.type !== "Identifier") return undefined;
  // `x.1.5` is an item of an item
  const float = tokens[at - 1]?.type !== "Dot";
  let spelt = tokens[at]!.value;
  let found: { readonly text: string; readonly length: number } | undefined;
  for (let length = 2; length <= PARTS && at + length <= tokens.length; length++) {
    spelt += tokens[at + length - 1]!.value;
    const plain = spelt.replaceAll("_", "").toLowerCase();
    if (INTEGER.test(spelt)) found = { text: whole(plain), length };
    else if (float && FLOAT.test(spelt)) found = { text: plain.replace(/^([+-]?\d+)e/u, "$1.0e"), length };
  }
  return found;
}

function whole(plain: string): string {
  const [, sign, digits] = /^([+-]?)(.*)$/u.exec(plain)!;
  return `${sign}${Number(digits)}`;
}

/** Number of tokens of a test's argument without parentheses; 0 where there is none, undefined where it has parentheses. */
function argumentAt(tokens: readonly Token[], at: number): number | undefined {
  const first = tokens[at];
  if (first?.type === "OpenParen") return undefined;
  if (first === undefined || !LITERALS.has(first.type) || (first.type === "Identifier" && WORDS.has(first.value)))
    return 0;
  let length = 1;
  while (tokens[at + length]?.type === "Dot" && tokens[at + length + 1]?.type === "Identifier") length += 2;
  return length;
}

/** `a = 1, b = 2`, one by one. */
function assignments(tokens: readonly Token[]): Token[][] {
  const out: Token[][] = [];
  let depth = 0;
  for (const [i, t] of tokens.entries()) {
    if (t.type.startsWith("Open")) depth++;
    if (t.type.startsWith("Close")) depth--;
    const begins = depth === 0 && t.type === "Identifier" && tokens[i + 1]?.type === "Equals";
    if (i === 0 || begins) {
      // the comma before it
      if (i > 0) out.at(-1)!.pop();
      out.push([]);
    }
    out.at(-1)!.push(t);
  }
  return out;
}
