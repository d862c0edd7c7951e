/** What all tasks of causal models share: the loss of the next token, over the vocabulary in blocks, and what an evaluation says of each text. */
import { ops } from "@lowrank/tensor";
import type { CausalExamples } from "../data/causal-examples.ts";
import type { Batch } from "../data/examples.ts";
import type { TokenItems } from "../records/metric.ts";
import type { Scored, Scorer, Task } from "../records/task.ts";

/** Fields of a `Task`. Batches have `inputIds`, `labels` and, where texts share rows, `positionIds`. */
export const nextToken: Pick<Task, "kind" | "items" | "metrics" | "loss" | "outputs"> = {
  kind: "CAUSAL_LM",
  items: "tokens",
  metrics: ["perplexity"],
  loss(base, { inputIds, ...rest }, reduction) {
    const { loss, tokenLosses } = base.forward({ inputIds: inputIds!, ...rest });
    return reduction === "mean" ? loss! : ops.sum(tokenLosses!);
  },
  outputs(base, { inputIds, ...rest }) {
    const tokenLosses = base.forward({ inputIds: inputIds!, ...rest }).tokenLosses!;
    return { tokenLosses, loss: ops.sum(tokenLosses) };
  },
};

/** Sums the losses of each text, wherever it lay. */
export class NextTokenScorer implements Scorer<TokenItems> {
  readonly #examples: CausalExamples;
  readonly #sums: Float64Array;

  constructor(examples: CausalExamples) {
    this.#examples = examples;
    this.#sums = new Float64Array(examples.texts);
  }

  take({ members, length, counted }: Batch, outputs: Readonly<Record<string, Float64Array>>): TokenItems {
    const losses = outputs["tokenLosses"]!;
    let loss = 0;
    for (const { text, row, start, length: size } of this.#examples.placed(members)) {
      // [rows, length − 1]: the loss of the token in column c stands in column c − 1, and 0 where none is learnt
      const from = row * (length - 1) + start;
      const sum = losses.subarray(from, from + size - 1).reduce((total, value) => total + value, 0);
      this.#sums[text] = sum;
      loss += sum;
    }
    return { loss, counted };
  }

  /** A line a text, in their order: the summed −log p of its tokens that are learnt, in nats, and how many these are. */
  finish(): Scored {
    const { targets } = this.#examples;
    const lines = Array.from(this.#sums, (sum, index) =>
      JSON.stringify({ index, loss: Number(sum.toPrecision(9)), tokens: targets[index] }),
    );
    const total = this.#sums.reduce((a, b) => a + b, 0);
    const counted = targets.reduce((a, b) => a + b, 0);
    return { predictions: lines, decisions: lines.join(), outputs: this.#sums, loss: total / counted };
  }
}
