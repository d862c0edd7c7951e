/** Items as texts of a causal model: what is too long becomes several texts or loses its end, and each text knows its item. */
import { InputError } from "../errors.ts";
import { formatCount } from "../text/format.ts";
import { CausalExamples, type CausalOptions } from "./causal-examples.ts";
import { asks, blocksOf, type LearntText } from "./causal-texts.ts";
import { TokenSetBuilder } from "./token-set.ts";

export interface ItemText extends LearntText {
  /** Documents that are too long go on in a further text. Others lose their end. */
  readonly splits: boolean;
}

export class CausalRows extends CausalExamples {
  /** Items that lost tokens. */
  readonly cut: number;
  readonly about: string;
  /** Item of each text. */
  readonly itemOf: Int32Array;

  private constructor(texts: readonly LearntText[], itemOf: readonly number[], cut: number, options: CausalOptions) {
    const tokens = new TokenSetBuilder();
    for (const { ids } of texts) tokens.push(ids);
    const learnt = Uint8Array.from(texts.flatMap((text) => text.learnt.map(Number)));
    super({ tokens: tokens.build(), learnt }, options);
    this.cut = cut;
    this.itemOf = Int32Array.from(itemOf);
    // a perplexity means nothing without what it was counted over
    const scored = this.targets.reduce((sum, count) => sum + count, 0);
    const shared = options.packed === true ? `, packed into ${formatCount(this.count)} rows` : "";
    this.about = `${formatCount(texts.length)} texts of at most ${options.maxLength} tokens${shared}; ${formatCount(scored)} tokens are predicted, each once (perplexity is by token)`;
  }

  /**
   * @param bos token that texts begin with, where they do
   * @throws InputError for items of which nothing is left to learn
   */
  static of(
    items: readonly ItemText[],
    options: CausalOptions & { readonly bos: number | undefined },
    place: (item: number) => string,
  ): CausalRows {
    const { maxLength, bos } = options;
    const texts: LearntText[] = [];
    const itemOf: number[] = [];
    const empty: number[] = [];
    let cut = 0;
    items.forEach((item, i) => {
      const blocks = blocksOf(item, maxLength, bos);
      const kept = (item.splits ? blocks : blocks.slice(0, 1)).filter(asks);
      if (!item.splits && blocks.length > 1) cut++;
      if (kept.length === 0) empty.push(i);
      for (const text of kept) {
        texts.push(text);
        itemOf.push(i);
      }
    });
    if (empty.length > 0)
      throw new InputError(
        `${place(empty[0]!)}: nothing is left to learn within ${maxLength} tokens${empty.length === 1 ? "" : `, and neither in ${formatCount(empty.length - 1)} other rows`}; raise maxLength, or leave such rows out`,
      );
    return new CausalRows(texts, itemOf, cut, options);
  }
}
