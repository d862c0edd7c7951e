/** Sweeps of a study: the rates that were tried for a config, what came of each, and which one was chosen. */
import { formatNumber } from "../text/format.ts";
import type { StudyRun } from "./plan-study.ts";
import { leastLoss, type Source, type TriedRate } from "./settle.ts";

export interface SweepOutcome {
  readonly config: string;
  /** In a study of several tasks. */
  readonly task?: string;
  readonly seed: number;
  readonly rates: readonly TriedRate[];
  /** Null where every rate diverged. */
  readonly lr: number | null;
}

/** Those whose runs are all there. @param sourceOf what has become of a run */
export function sweepsOf(runs: readonly StudyRun[], sourceOf: (run: StudyRun) => Source | undefined): SweepOutcome[] {
  const sweeps = new Map<string, StudyRun[]>();
  for (const run of runs.filter(({ role }) => role === "rate")) {
    const key = `${run.config.name.split("@")[0]}/${run.config.taskLabel ?? ""}`;
    sweeps.set(key, [...(sweeps.get(key) ?? []), run]);
  }
  return [...sweeps.values()].flatMap((of) => {
    const rates = of.flatMap((run): TriedRate[] => {
      const source = sourceOf(run);
      const [lr, name] = [run.config.train.lr!, run.done?.name ?? run.name];
      if (source === undefined || ("failure" in source && !source.diverged)) return [];
      return [{ lr, run: name, loss: "failure" in source ? null : source.result.final.loss }];
    });
    if (rates.length < of.length) return [];
    const { config, seed } = of[0]!;
    return [
      {
        config: config.name.split("@")[0]!,
        ...(config.taskLabel === undefined ? {} : { task: config.taskLabel }),
        seed,
        rates,
        lr: leastLoss(rates)?.lr ?? null,
      },
    ];
  });
}

/** `b-fp: rate 0.003, by loss: 0.001 0.6123, 0.003 0.5871, 0.1 diverged`. */
export function sweepLines(sweeps: readonly SweepOutcome[]): string[] {
  return sweeps.map(({ config, task, rates, lr }) => {
    const tried = rates.map(({ lr: rate, loss }) => `${rate} ${loss === null ? "diverged" : formatNumber(loss, 4)}`);
    const outer = lr === Math.min(...rates.map((r) => r.lr)) || lr === Math.max(...rates.map((r) => r.lr));
    const of = task === undefined ? config : `${config} · ${task}`;
    return `${of}: rate ${lr ?? "none"}, by loss: ${tried.join(", ")}${lr !== null && outer ? " (the outermost that was tried)" : ""}`;
  });
}
