/** What tasks of causal models share: the loss of the next token, over the vocabulary in blocks, and the sums of it over each text. */
import { ops } from "@lowrank/tensor";
import type { CausalExamples } from "../data/causal-examples.ts";
import type { Batch } from "../data/examples.ts";
import type { RowTask } from "../records/row-task.ts";

/** Fields of a `RowTask`. Batches have `inputIds`, `labels` and, where texts share rows, `positionIds`. */
export const nextToken: Pick<RowTask, "kind" | "items" | "metrics" | "forward" | "loss"> = {
  kind: "CAUSAL_LM",
  items: "tokens",
  metrics: ["perplexity"],
  // [rows, length − 1]: the loss of the token in column c stands in column c − 1, and 0 where none is learnt
  forward: (base, { inputIds, ...rest }) => ({
    tokenLosses: base.forward({ inputIds: inputIds!, ...rest }).tokenLosses!,
  }),
  loss({ tokenLosses }, { labels }, reduction) {
    const sum = ops.sum(tokenLosses!);
    if (reduction === "sum") return sum;
    const asked = ops.ne(ops.slice(labels!, 1, 1, labels!.shape[1]!), -100);
    return ops.div(sum, ops.cast(ops.sum(asked), sum.dtype));
  },
};

/** −log p of what is learnt of each text, in nats, wherever it lay. */
export class TextLosses {
  readonly sums: Float64Array;
  readonly #examples: Pick<CausalExamples, "placed">;

  constructor(examples: CausalExamples) {
    this.#examples = examples;
    this.sums = new Float64Array(examples.texts);
  }

  take(
    { members, length }: Pick<Batch, "members" | "length">,
    { tokenLosses }: Readonly<Record<string, Float64Array>>,
  ): void {
    for (const { text, row, start, length: size } of this.#examples.placed(members)) {
      const from = row * (length - 1) + start;
      this.sums[text] = tokenLosses!.subarray(from, from + size - 1).reduce((total, value) => total + value, 0);
    }
  }
}
