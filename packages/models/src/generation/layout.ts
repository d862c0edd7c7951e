/** Texts of a batch as a step takes them: the shorter ones padded on the left, all on the right up to a length that many texts share. */

export interface Layout {
  readonly batch: number;
  /** Of the rows. */
  readonly length: number;
  /** Place of the last token of every text. */
  readonly last: number;
  /** Places before each text. */
  readonly padding: Int32Array;
  readonly ids: Int32Array;
  /** 0 before a text, 0, 1, … in it, its last one behind it. */
  readonly positions: Int32Array;
  /** 1 for tokens of a text. */
  readonly mask: Uint8Array;
}

/** A plan is made for each length that occurs, so there are few: powers of two from here on. */
const LEAST_BUCKET = 16;

/** How long rows are that hold `tokens`. @param most the longest that there may be */
export function bucketOf(tokens: number, most: number): number {
  return Math.max(tokens, Math.min(most, Math.max(LEAST_BUCKET, 2 ** Math.ceil(Math.log2(tokens)))));
}

/** @param most the longest row that there may be */
export function layoutOf(texts: readonly (readonly number[])[], most: number): Layout {
  const batch = texts.length;
  const longest = Math.max(...texts.map((text) => text.length));
  const length = bucketOf(longest, most);
  const padding = Int32Array.from(texts, (text) => longest - text.length);
  const [ids, positions] = [new Int32Array(batch * length), new Int32Array(batch * length)];
  const mask = new Uint8Array(batch * length);
  for (const [row, text] of texts.entries())
    for (let i = 0; i < length; i++) {
      const place = i - padding[row]!;
      const at = row * length + i;
      positions[at] = Math.min(Math.max(place, 0), text.length - 1);
      if (place < 0 || place >= text.length) continue;
      ids[at] = text[place]!;
      mask[at] = 1;
    }
  return { batch, length, last: longest - 1, padding, ids, positions, mask };
}
