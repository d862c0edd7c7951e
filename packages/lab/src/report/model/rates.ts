/** Sweeps: the rates that were tried for a config, the loss that each came to, and the rate that its runs then had. */
import { taskLabel } from "../../store/by-task.ts";
import { grouped } from "../grouped.ts";
import { triedFor, type DivergedRun, type ReportRun } from "../run.ts";

export interface TriedRate {
  readonly lr: number;
  /** Null where training went diverged. */
  readonly loss: number | null;
}

export interface SweptConfig {
  readonly config: string;
  readonly task: string | undefined;
  readonly seeds: readonly number[];
  /** From the smallest on. */
  readonly rates: readonly TriedRate[];
  /** Of the config's runs; undefined where there are none yet. */
  readonly chosen: number | undefined;
  /** Configs whose runs have the same rate because it was chosen here. */
  readonly heirs: readonly string[];
}

export function sweptConfigs(
  tried: readonly ReportRun[],
  runs: readonly ReportRun[],
  diverged: readonly DivergedRun[],
): SweptConfig[] {
  const sweeps = grouped(tried, (run) => JSON.stringify([triedFor(run.config)!.config, taskLabel(run)]));
  return [...sweeps.values()].map((of) => {
    const { config } = triedFor(of[0]!.config)!;
    const task = taskLabel(of[0]!);
    const there = runs.filter((run) => taskLabel(run) === task);
    const failed = diverged.flatMap((rate) => {
      const what = triedFor(rate.config);
      return what?.config === config ? [{ lr: what.lr, loss: null }] : [];
    });
    const rates = [...of.map((run): TriedRate => ({ lr: triedFor(run.config)!.lr, loss: run.final.loss })), ...failed];
    return {
      config,
      task,
      seeds: [...new Set(of.map(({ seed }) => seed))],
      rates: rates.sort((a, b) => a.lr - b.lr),
      chosen: there.find((run) => run.config === config)?.resolved.train.lr,
      heirs: [...new Set(there.flatMap((run) => (inherits(run, config) ? [run.config] : [])))],
    };
  });
}

function inherits({ resolved: { method } }: ReportRun, from: string): boolean {
  return method.rate !== undefined && "from" in method.rate && method.rate.from === from;
}
