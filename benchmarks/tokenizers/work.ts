/** What is timed, in Node and in a page alike: every line once, by a tokenizer that has seen none of them. */
import { parseTokenizer } from "@lowrank/models";

export interface Speed {
  /** Lines a second of each round. */
  readonly rounds: number[];
  readonly tokens: number;
}

export function speedOf(file: unknown, lines: readonly string[], rounds: number): Speed {
  let tokens = 0;
  const speeds = Array.from({ length: rounds }, () => {
    const tokenizer = parseTokenizer(file);
    tokens = 0;
    const started = performance.now();
    for (const line of lines) tokens += tokenizer.encode(line).ids.length;
    return (1000 * lines.length) / (performance.now() - started);
  });
  return { rounds: speeds, tokens };
}

export const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;
