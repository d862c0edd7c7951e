/** The metrics there are: a file beside this one and a line here; programs and plugins add theirs with `metrics.register`. */
import type { Metric } from "../records/metric.ts";
import { Registry } from "../records/registry.ts";
import { accuracy } from "./accuracy.ts";
import { answerF1, exactMatchShare } from "./answers.ts";
import { entityF1 } from "./entity-f1.ts";
import { pearson, spearman } from "./correlation.ts";
import { f1 } from "./f1.ts";
import { macroF1, microF1, subsetAccuracy } from "./label-sets.ts";
import { matthews } from "./matthews.ts";
import { perplexity } from "./perplexity.ts";
import { rmse } from "./rmse.ts";
import { rougeL } from "./rouge-l.ts";
import { wordPerplexity } from "./word-perplexity.ts";

export const metrics: Registry<Metric> = new Registry<Metric>("metric", [
  // of labels
  accuracy,
  f1,
  matthews,
  // of sets of labels
  microF1,
  macroF1,
  subsetAccuracy,
  // of numbers
  pearson,
  spearman,
  rmse,
  // of tags
  entityF1,
  // of answers
  exactMatchShare,
  answerF1,
  rougeL,
  // of tokens
  perplexity,
  wordPerplexity,
]);
