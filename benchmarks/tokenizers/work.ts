/** What is timed, in Node and in a page alike: every line once, by a tokenizer that has seen none of them. */
import { parseTokenizer } from "@lowrank/models";

/** The number of tokens. */
export function tokenizeAll(file: unknown, lines: readonly string[]): number {
  const tokenizer = parseTokenizer(file);
  let tokens = 0;
  for (const line of lines) tokens += tokenizer.encode(line).ids.length;
  return tokens;
}
