/**
 * WikiText as its files have it (Merity et al. 2016): a line a paragraph, words apart by spaces, `<unk>` and all. The text is what stands in the file: nothing is
 * joined anew, left out or put back together.
 */
import { chooseRows, type RowRange } from "./row-range.ts";

/** A line of a file with what ends it. */
export type Line = string;

export function linesOf(text: string): Line[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

/** The lines to train on, as one text, and those that are held out of them. @throws InputError for lines that there are not */
export function chosenText(
  lines: readonly Line[],
  parts: { readonly trainRows?: RowRange | undefined; readonly heldOut?: RowRange | undefined },
  file: string,
): { readonly train: string; readonly heldOut: string | undefined } {
  const { train, heldOut } = chooseRows(lines.length, parts, file);
  const joined = (places: Int32Array): string => Array.from(places, (i) => lines[i]!).join("");
  return { train: joined(train), heldOut: heldOut === undefined ? undefined : joined(heldOut) };
}

/**
 * How many words begin in a part of the text: what is apart by white space, and the end of each line, which is a word of its own. So 217,646 are counted in the
 * whole of valid.txt and 245,569 in test.txt, as the paper's table 1 and word-level models of it do (`line.split() + ["<eos>"]`).
 */
export class WordCount {
  /** Where words begin, in order. */
  readonly #starts: Float64Array;

  constructor(text: string) {
    this.#starts = Float64Array.from(text.matchAll(/\S+|\n/g), ({ index }) => index);
  }

  get all(): number {
    return this.#starts.length;
  }

  /** Between two places of the text. */
  between(from: number, to: number): number {
    return this.#before(to) - this.#before(from);
  }

  #before(place: number): number {
    let [low, high] = [0, this.#starts.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle]! < place) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
