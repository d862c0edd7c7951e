/**
 * Texts of rows with some of their tokens hidden, by BERT's rule (`masking.ts`), of each text its own share: for training drawn anew with every batch, else from
 * a seed and the text alone, so that what is asked of a text depends on no other.
 */
import type { Tokenizer } from "@lowrank/models";
import { RandomStream } from "@lowrank/tensor";
import { InputError } from "../errors.ts";
import { formatCount } from "../text/format.ts";
import { IGNORED } from "./classification.ts";
import type { Batch, BatchShape, Examples } from "./examples.ts";
import type { Group } from "./length-groups.ts";
import { replacement } from "./masking.ts";
import { padTexts } from "./texts.ts";
import { tokenSetOf } from "./token-set.ts";

/** A text, or a part of one that is longer than the model takes. */
export interface MaskableText {
  /** Which item. */
  readonly item: number;
  /** Complete, special tokens included. */
  readonly ids: readonly number[];
  /** Places of tokens that may be hidden: those that are not special. */
  readonly places: readonly number[];
}

/**
 * @param maxLength most tokens of a part, special ones included
 * @param place of a text, for messages
 * @throws InputError for a text without a token that could be hidden
 */
export function maskableTexts(
  tokenizer: Tokenizer,
  texts: readonly string[],
  maxLength: number,
  place: (i: number) => string,
): MaskableText[] {
  const special = new Set(Object.values(tokenizer.specialTokens).map((token) => tokenizer.idOf(token)));
  return texts.flatMap((text, item) => {
    const { ids: whole, specialTokensMask: added } = tokenizer.encode(text);
    // what stands around a text stands around each part
    const [first, last] = [added.indexOf(0), added.lastIndexOf(0)];
    const [before, ids, after] = [whole.slice(0, first), whole.slice(first, last + 1), whole.slice(last + 1)];
    const room = first < 0 ? 0 : maxLength - before.length - after.length;
    if (room < 1 && first >= 0)
      throw new InputError(`maxLength ${maxLength} has no room for a token beside the special ones; raise it`);
    const parts: MaskableText[] = [];
    for (let from = 0; from < ids.length && room > 0; from += room) {
      const own = ids.slice(from, from + room);
      const places = [...own.keys()].filter((i) => !special.has(own[i]!)).map((i) => before.length + i);
      // a part that is all special tokens, unknown words above all, asks for nothing
      if (places.length > 0) parts.push({ item, ids: [...before, ...own, ...after], places });
    }
    if (parts.length === 0) throw new InputError(`${place(item)}: the text has no token that could be hidden`);
    return parts;
  });
}

export interface MaskedTextsOptions {
  readonly padId: number;
  readonly mask: number;
  readonly vocabSize: number;
  readonly maxLength: number;
  /** Share of tokens to predict, of each text at least one. */
  readonly share: number;
  /** What hidden tokens are drawn from, with the text; absent: drawn anew with every batch. */
  readonly fixed: number | undefined;
}

export class MaskedTexts implements Examples {
  /** Nothing is lost: what is too long goes on in a further text. */
  readonly cut = 0;
  readonly lengths: Int32Array;
  readonly about: string;
  /** Tokens that are predicted of each text. */
  readonly targets: Int32Array;
  readonly texts: readonly MaskableText[];
  readonly #options: MaskedTextsOptions;

  constructor(texts: readonly MaskableText[], options: MaskedTextsOptions) {
    this.texts = texts;
    this.lengths = Int32Array.from(texts, ({ ids }) => ids.length);
    this.targets = Int32Array.from(texts, ({ places }) => shareOf(places.length, options.share));
    this.#options = options;
    const hidden = this.targets.reduce((sum, count) => sum + count, 0);
    this.about = `${formatCount(texts.length)} texts of at most ${options.maxLength} tokens; ${formatCount(hidden)} tokens are hidden${options.fixed === undefined ? " in a pass, others in each" : ", always the same"} (perplexity is by hidden token)`;
  }

  get count(): number {
    return this.texts.length;
  }

  /** Slots of a row of that many positions: as many as the longest text needs. */
  slots(length: number): number {
    return shareOf(length, this.#options.share);
  }

  /** Beside the texts, `positions` and `labels` i32 [rows · slots]: the flat place and the token of each slot, 0 and −100 in those of no use. */
  batch(members: Group, shape: BatchShape, seed: number): Batch {
    const { padId, maxLength } = this.#options;
    const hidden = Array.from(members, (member) => this.#hide(member, seed));
    const tokens = tokenSetOf(hidden.map(({ ids }) => ids));
    const lengths = Int32Array.from(members, (member) => this.lengths[member]!);
    const rows = Int32Array.from(members.keys());
    const { length, inputs } = padTexts({ tokens, lengths, maxLength }, rows, shape, padId);
    const each = this.slots(length);
    const positions = new Int32Array(shape.rows * each);
    const labels = new Int32Array(shape.rows * each).fill(IGNORED);
    let counted = 0;
    for (const [row, { places }] of hidden.entries())
      for (const [slot, place] of places.entries()) {
        positions[row * each + slot] = row * length + place;
        labels[row * each + slot] = this.texts[members[row]!]!.ids[place]!;
        counted++;
      }
    const slots = { shape: [shape.rows * each], dtype: "i32" as const };
    return {
      rows: shape.rows,
      length,
      members,
      counted,
      inputs: { ...inputs, positions: { data: positions, ...slots }, labels: { data: labels, ...slots } },
    };
  }

  /** The text as the model sees it, and where it has to find what was there. */
  #hide(member: number, seed: number): { readonly ids: readonly number[]; readonly places: readonly number[] } {
    const { fixed } = this.#options;
    const { ids, places } = this.texts[member]!;
    const stream =
      fixed === undefined
        ? new RandomStream(seed, `masked-text/${member}`)
        : new RandomStream(fixed, `masked-text/${ids.join(" ")}`);
    const chosen = stream.shuffle([...places]).slice(0, this.targets[member]);
    const seen = [...ids];
    chosen.sort((a, b) => a - b);
    for (const place of chosen) seen[place] = replacement(ids[place]!, stream, this.#options);
    return { ids: seen, places: chosen };
  }
}

function shareOf(count: number, share: number): number {
  return Math.max(1, Math.round(count * share));
}
