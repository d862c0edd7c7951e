/**
 * `{% generation %}` blocks, which say what of a chat the assistant wrote. Each becomes two characters that no text has (U+FDD0 to
 * U+FDEF are not characters), which are taken out of what is printed again.
 */
import { LowrankError } from "@lowrank/tensor";

const FIRST = 0xfdd0;
const COUNT = 0x20;

/** Two characters that are not in `text`. */
export function marksNotIn(text: string): readonly [string, string] {
  const free = Array.from({ length: COUNT }, (_, i) => String.fromCharCode(FIRST + i)).filter((c) => !text.includes(c));
  if (free.length < 2)
    throw new LowrankError(
      "ValueError",
      "chat: the messages use all of U+FDD0 to U+FDEF, which stand for no character",
    );
  return [free[0]!, free[1]!];
}

/** Names of the two characters in a template. */
export const MARKS = ["__generation", "__endgeneration"] as const;

/**
 * The source without the white space that goes around blocks (`lstrip_blocks`, `trim_blocks`; `+` keeps it), with generation blocks as
 * printed names and raw ones as texts.
 */
export function prepared(source: string): string {
  if (LONG_SPACE.test(source)) throw new Error(`it has more than ${LONGEST_SPACE} white space characters in a row`);
  return rawAsText(source.replaceAll("\r\n", "\n"))
    .replace(/^[ \t]*(\{(?:#|%(?!\+)))/gmu, "$1")
    .replace(
      /(\+?)([%#]\})(\n?)/gu,
      (_, keeps: string, close: string, line: string) => close + (keeps === "" ? "" : line),
    )
    .replace(/\{%\+/gu, "{%")
    .replace(
      /\{%(-?)\s*(end)?generation\s*(-?)%\}/gu,
      (_, left: string, end: string | undefined, right: string) =>
        `{{${left} ${MARKS[end === undefined ? 0 : 1]} ${right}}}`,
    );
}

/** The package's lexer takes time that grows with the square of such a run. */
const LONGEST_SPACE = 1000;
const LONG_SPACE = new RegExp(`\\s{${LONGEST_SPACE + 1}}`, "u");

const RAW = /\{%[-+]?\s*raw\s*-?%\}\n?/gu;
const END_OF_RAW = /\{%-?\s*endraw\s*[-+]?%\}/gu;
/** One search for each end, so that a template of openings alone takes no time. */
function rawAsText(source: string): string {
  let out = "";
  let done = 0;
  for (const open of source.matchAll(RAW)) {
    if (open.index < done) continue;
    END_OF_RAW.lastIndex = open.index + open[0].length;
    const close = END_OF_RAW.exec(source);
    if (close === null) break;
    const raw = source.slice(open.index + open[0].length, close.index);
    out += `${source.slice(done, open.index)}{{ ${JSON.stringify(raw)} }}`;
    done = END_OF_RAW.lastIndex;
  }
  return out + source.slice(done);
}

/** [from, to) in UTF-16 units. */
export type Span = readonly [number, number];

/** The text without its marks, and what stood between them. */
export function takeMarks(
  marked: string,
  [begin, end]: readonly [string, string],
): { readonly text: string; readonly spans: Span[] } {
  const spans: Span[] = [];
  const open: number[] = [];
  let text = "";
  for (const piece of marked.split(new RegExp(`([${begin}${end}])`, "u"))) {
    if (piece === begin) open.push(text.length);
    else if (piece === end) {
      const from = open.pop();
      if (from !== undefined) spans.push([from, text.length]);
    } else text += piece;
  }
  return { text, spans: spans.sort((a, b) => a[0] - b[0]) };
}
