/** exp of the mean loss over all tokens that are predicted. */
import type { Metric, TokenItems } from "../records/metric.ts";

interface Count {
  readonly loss: number;
  readonly counted: number;
}

export const perplexity: Metric<TokenItems, Count> = {
  name: "perplexity",
  label: "perplexity",
  items: "tokens",
  better: "lower",
  unit: "number",
  update: (before = { loss: 0, counted: 0 }, { loss, counted }) => ({
    loss: before.loss + loss,
    counted: before.counted + counted,
  }),
  value: ({ loss, counted }) => Math.exp(loss / counted),
};
