/** Whether a tab-separated file is quoted as CSV is, or its quotes belong to its texts. */
import { InputError } from "../errors.ts";

/** The whole field in quotes, and every quote inside doubled. */
export const QUOTED: RegExp = /^"(?:[^"]|"")*"$/;
/** Quoted because it had to be: nobody doubles quotes by accident. */
const NEEDED = /^"(?:[^"]|"")*""(?:[^"]|"")*"$/;

/** Whether fields are quoted throughout: all of them, header included, or just those that hold a quote. A mixture is refused, since it cannot be told what was meant. */
export function isQuoted(table: readonly (readonly string[])[], name: string): boolean {
  const [header, ...rows] = table;
  const all = header!.every((cell) => QUOTED.test(cell));
  const first = all ? 0 : rows.findIndex((cells) => cells.some((cell) => NEEDED.test(cell)));
  if (first < 0) return false;
  const bare = rows.findIndex((cells) => cells.some((cell) => cell.includes('"') && !QUOTED.test(cell)));
  if (bare < 0) return true;
  const evidence = all ? "the header is quoted" : `line ${first + 2} is quoted as CSV`;
  throw new InputError(
    `${name}:${bare + 2}: has a quote that is not doubled, but ${evidence}; write all of the file with quoting or none of it (pandas: quoting=csv.QUOTE_NONE)`,
  );
}
