/** Cutting one or two texts to a number of tokens, Hugging Face's three ways. */
import { LowrankError } from "@lowrank/tensor";
import { cut, type Encoding } from "./encoding.ts";

/**
 * `longest_first` cuts the longer of two down to the shorter, then both; `only_first` and `only_second` leave the other as it is and fail
 * where the one is too short for that.
 */
export const TRUNCATION_STRATEGIES = ["longest_first", "only_first", "only_second"] as const;
export type TruncationStrategy = (typeof TRUNCATION_STRATEGIES)[number];
/** The end that is lost. */
export const TRUNCATION_SIDES = ["right", "left"] as const;
export type TruncationSide = (typeof TRUNCATION_SIDES)[number];

/**
 * `texts` (one or two) with at most `room` tokens together: of each first the part that is kept, then, where `stride` is given, the parts
 * that overflow, each of them with `stride` tokens of the one before it. @throws LowrankError (ConfigError) where the strategy or the stride cannot
 */
export function truncate(
  texts: readonly Encoding[],
  room: number,
  strategy: TruncationStrategy,
  side: TruncationSide,
  stride?: number,
): Encoding[][] {
  const lengths = texts.map((t) => t.ids.length);
  const kept = lengthsWithin(lengths, room, strategy);
  return texts.map((text, i) => {
    const [length, keep] = [lengths[i]!, kept[i]!];
    if (keep >= length) return [text];
    if (stride === undefined) return [side === "right" ? cut(text, 0, keep) : cut(text, length - keep, length)];
    if (keep === 0) return [cut(text, 0, 0), text];
    if (stride >= keep)
      throw new LowrankError(
        "ConfigError",
        `encode: a stride of ${stride} needs parts of more tokens, and this text is cut to ${keep}; raise maxLength or lower stride`,
      );
    const parts: Encoding[] = [];
    for (let at = 0, end = false; !end; at += keep - stride) {
      end = at + keep >= length;
      const to = Math.min(at + keep, length);
      parts.push(side === "right" ? cut(text, at, to) : cut(text, length - to, length - at));
    }
    return parts;
  });
}

function lengthsWithin(lengths: readonly number[], room: number, strategy: TruncationStrategy): number[] {
  if (room === 0) return lengths.map(() => 0);
  const excess = lengths.reduce((sum, n) => sum + n, 0) - room;
  if (excess <= 0) return [...lengths];
  if (strategy === "longest_first") return lengths.length === 1 ? [room] : longestFirst(lengths[0]!, lengths[1]!, room);
  const at = strategy === "only_first" ? 0 : 1;
  const length = lengths[at];
  if (length === undefined)
    throw new LowrankError("ConfigError", `encode: truncation "${strategy}" needs a pair, and there is one text only`);
  if (length <= excess)
    throw new LowrankError(
      "ConfigError",
      `encode: truncation "${strategy}" would have to cut ${excess} tokens from a text of ${length}; raise maxLength or use "longest_first"`,
    );
  return lengths.map((n, i) => (i === at ? n - excess : n));
}

/** The odd token goes to the text that was longer, to the second where both were equally long. */
function longestFirst(first: number, second: number, room: number): number[] {
  const swapped = first > second;
  let short = Math.min(first, second);
  let long = Math.max(short, room - short);
  if (short + long > room) {
    short = Math.floor(room / 2);
    long = room - short;
  }
  return swapped ? [long, short] : [short, long];
}
