/** The config of a run whose ranks or rate other runs decide, once they are there. */
import type { ResolvedConfig } from "../config/study.ts";
import { RunError } from "../errors.ts";
import { methods } from "../methods/registry.ts";
import type { RunResult } from "../store/result.ts";
import type { StudyRun } from "./plan-study.ts";
import { ranksOf } from "./source-ranks.ts";

/** What has become of a run that others need. */
export type Source =
  | { readonly result: RunResult }
  /** `diverged`: a value was not finite, which is an answer where a rate was tried. */
  | { readonly failure: string; readonly diverged: boolean };

export interface TriedRate {
  readonly lr: number;
  /** Of the evaluation at the end; null where the run diverged. */
  readonly loss: number | null;
  readonly run: string;
}

/**
 * Config with ranks and rate filled in, and whose they are.
 * @param sourceOf what has become of a run by its name; undefined: nothing is known of it
 * @throws RunError naming the run that it needs and that failed
 */
export function settle(run: StudyRun, sourceOf: (name: string) => Source | undefined): ResolvedConfig {
  const { ranks, rates = [] } = run.needs;
  if (ranks === undefined && rates.length === 0) return run.config;
  const sources: { name: string; id: string }[] = [];
  const result = (name: string): RunResult => {
    const source = sourceOf(name);
    if (source === undefined) throw new RunError(`not made: it needs ${name}, which was not made`);
    if ("failure" in source) throw new RunError(`not made: it needs ${name}, which failed`);
    sources.push({ name, id: source.result.id });
    return source.result;
  };
  let { config } = run;
  if (ranks !== undefined) {
    const found = ranksOf(result(ranks));
    config = { ...config, method: methods.get(config.method.method).withRanks!(config.method, found) };
  }
  if (rates.length > 0) {
    const tried = rates.map(({ name, lr }): TriedRate => {
      const source = sourceOf(name);
      const diverged = source !== undefined && "failure" in source && source.diverged;
      return { lr, run: name, loss: diverged ? null : result(name).final.loss };
    });
    const best = leastLoss(tried);
    if (best === undefined)
      throw new RunError(
        `not made: it needs a rate, and every one that was tried diverged (${rates.map(({ lr }) => lr).join(", ")})`,
      );
    config = { ...config, train: { ...config.train, lr: best.lr } };
  }
  return { ...config, sources };
}

/** The tried rate that is chosen: of the least loss, the smaller one of two equals; undefined where all diverged. */
export function leastLoss<T extends TriedRate>(tried: readonly T[]): T | undefined {
  return tried
    .filter(({ loss }) => loss !== null && Number.isFinite(loss))
    .sort((a, b) => a.loss! - b.loss! || a.lr - b.lr)[0];
}
