/** The metrics there are: a file beside this one and a line here; programs and plugins add theirs with `metrics.register`. */
import type { Metric } from "../records/metric.ts";
import { Registry } from "../records/registry.ts";
import { accuracy } from "./accuracy.ts";
import { f1 } from "./f1.ts";
import { perplexity } from "./perplexity.ts";

export const metrics: Registry<Metric> = new Registry<Metric>("metric", [
  // of labels
  accuracy,
  f1,
  // of tokens
  perplexity,
]);
