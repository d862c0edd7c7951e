/** The root of the mean squared difference of predicted numbers and actual ones; NaN where there is no item. */
import type { Metric, NumberItems } from "../records/metric.ts";

interface Count {
  readonly squares: number;
  readonly all: number;
}

export const rmse: Metric<NumberItems, Count> = {
  name: "rmse",
  label: "RMSE",
  items: "numbers",
  better: "lower",
  unit: "number",
  update(before = { squares: 0, all: 0 }, { predicted, actual }) {
    let { squares } = before;
    for (let i = 0; i < actual.length; i++) squares += (predicted[i]! - actual[i]!) ** 2;
    return { squares, all: before.all + actual.length };
  },
  value: ({ squares, all }) => Math.sqrt(squares / all),
};
