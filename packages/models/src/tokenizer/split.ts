/** Cutting a text at the matches of a pattern, and what becomes of the matches. */
import { slice, type AlignedText } from "./aligned-text.ts";

/** Names of `tokenizers`: `the-final--countdown` at `-` gives, isolated, the · - · final · - · - · countdown; contiguous has `--` in one. */
export const SPLIT_BEHAVIOURS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"] as const;
export type SplitBehaviour = (typeof SPLIT_BEHAVIOURS)[number];

interface Stretch {
  readonly from: number;
  to: number;
  readonly match: boolean;
}

/** Pieces of the text, none of them empty. `pattern` is global; `invert` takes what lies between matches for the matches. */
export function split(
  text: AlignedText,
  pattern: RegExp,
  behaviour: SplitBehaviour,
  invert: boolean = false,
): AlignedText[] {
  const stretches = stretchesOf(text.text, pattern, invert);
  const kept = behaviour === "Removed" ? stretches.filter((s) => !s.match) : merged(stretches, behaviour);
  return kept.length === 1 && kept[0]!.to - kept[0]!.from === text.text.length
    ? [text]
    : kept.map((s) => slice(text, s.from, s.to));
}

function stretchesOf(text: string, pattern: RegExp, invert: boolean): Stretch[] {
  const stretches: Stretch[] = [];
  let end = 0;
  for (const found of text.matchAll(pattern)) {
    if (found[0] === "") continue;
    if (found.index > end) stretches.push({ from: end, to: found.index, match: invert });
    end = found.index + found[0].length;
    stretches.push({ from: found.index, to: end, match: !invert });
  }
  if (end < text.length) stretches.push({ from: end, to: text.length, match: invert });
  return stretches;
}

function merged(stretches: Stretch[], behaviour: Exclude<SplitBehaviour, "Removed">): Stretch[] {
  if (behaviour === "Isolated") return stretches;
  if (behaviour === "MergedWithNext") {
    const out: Stretch[] = [];
    for (const [i, stretch] of stretches.entries()) {
      const before = out.at(-1);
      // of several matches in a row only the last goes with what follows
      if (before !== undefined && before.match && !stretch.match && stretches[i - 1]!.match)
        out[out.length - 1] = { from: before.from, to: stretch.to, match: false };
      else out.push({ ...stretch });
    }
    return out;
  }
  const out: Stretch[] = [];
  let afterMatch = false;
  for (const stretch of stretches) {
    const joins = behaviour === "Contiguous" ? stretch.match === afterMatch : stretch.match && !afterMatch;
    const before = out.at(-1);
    if (joins && before !== undefined) before.to = stretch.to;
    else out.push({ ...stretch });
    afterMatch = stretch.match;
  }
  return out;
}
