/** The loss of training by config: each run's curve, and their mean. */
import { grouped } from "../grouped.ts";
import type { Point, ReportRun } from "../run.ts";

export interface ConfigCurves {
  readonly config: string;
  readonly runs: readonly (readonly Point[])[];
  /** Over the steps that all runs have. */
  readonly mean: readonly Point[];
}

/** Of the configs whose runs kept their steps. @param runs of one task */
export function curvesOf(runs: readonly ReportRun[]): ConfigCurves[] {
  return [...grouped(runs, ({ config }) => config)].flatMap(([config, of]) => {
    const curves = of.flatMap(({ curve }) => (curve.length > 1 ? [curve] : []));
    return curves.length === 0 ? [] : [{ config, runs: curves, mean: meanOf(curves) }];
  });
}

function meanOf(curves: readonly (readonly Point[])[]): Point[] {
  const at = curves.map((curve) => new Map(curve));
  return curves[0]!.flatMap(([step]): Point[] => {
    const values = at.map((curve) => curve.get(step));
    return values.some((value) => value === undefined)
      ? []
      : [[step, values.reduce<number>((sum, value) => sum + value!, 0) / values.length]];
  });
}
