/**
 * Claims about measured figures: by how much the first side is more than the second, round by round. Supported where all that the measurements allow
 * lies within the margin of what was claimed (the 90 % interval over rounds; of a figure that is computed, the number), contradicted where all of it
 * lies outside.
 */
import { InputError } from "../../errors.ts";
import { suggestion } from "@lowrank/tensor/check";
import type { MeasuredClaim } from "../../config/claims.ts";
import { mean } from "../../statistics/descriptive.ts";
import { LEAST_PAIRS, pairedDifference } from "../../statistics/paired.ts";
import type { Verdict } from "../../statistics/verdicts.ts";
import type { Measured, MeasuredFigure } from "../../store/measured.ts";

export interface Change {
  readonly figure: MeasuredFigure;
  readonly what: string;
  readonly host: string;
  readonly verdict: Verdict["verdict"];
  readonly rounds: number;
  /** Mean over rounds, in the figure's unit. */
  readonly first: number;
  readonly second: number;
  /** Mean over rounds of first over second, minus 1. */
  readonly change: number;
  /** 90 %; of an exact figure the number itself; undefined below three rounds. */
  readonly interval90: readonly [number, number] | undefined;
}

/** Undefined where nothing was measured. @throws InputError for a figure or a config that the measurements do not have */
export function changeOf(claim: MeasuredClaim, measured: readonly Measured[], at: string): Change | undefined {
  if (measured.length === 0) return undefined;
  const all = measured.flatMap((file) => file.figures.map((figure) => ({ file, figure })));
  const names = [...new Set(all.map(({ figure }) => figure.name))];
  const found = all.filter(({ figure }) => figure.name === claim.measured);
  if (found.length !== 1)
    throw new InputError(
      `${at}: ${found.length === 0 ? "no" : "more than one"} measured figure is called "${claim.measured}"${found.length === 0 ? suggestion(claim.measured, names) : "; give one file that has it"}`,
    );
  const { file, figure } = found[0]!;
  const side = (configs: readonly string[]): number[] => {
    const values = configs.map((config) => {
      const of = figure.values[config];
      if (of === undefined)
        throw new InputError(
          `${at}: "${figure.name}" was not measured of ${config}${suggestion(config, Object.keys(figure.values))}`,
        );
      return of;
    });
    return values[0]!.map((_, round) => mean(values.map((of) => of[round]!)));
  };
  const rounds = new Set(claim.configs.flat().map((config) => figure.values[config]?.length ?? 0));
  const [first, second] = claim.configs.map(side) as [number[], number[]];
  if (rounds.size > 1)
    throw new InputError(
      `${at}: "${figure.name}" has ${[...rounds].sort((a, b) => a - b).join(" and ")} values by config; rounds are compared pairwise, so measure all of them as often`,
    );
  const changes = first.map((value, round) => value / second[round]! - 1);
  const {
    n,
    mean: change,
    interval,
  } = pairedDifference(
    changes,
    changes.map(() => 0),
  );
  const interval90 = figure.exact ? ([Math.min(...changes), Math.max(...changes)] as const) : interval(0.9);
  return {
    figure,
    what: file.what,
    host: file.host,
    verdict: decided(claim, interval90),
    rounds: n,
    first: mean(first),
    second: mean(second),
    change,
    interval90: n < LEAST_PAIRS && !figure.exact ? undefined : interval90,
  };
}

function decided({ by, margin }: MeasuredClaim, interval: readonly [number, number] | undefined): Verdict["verdict"] {
  if (interval === undefined) return "not decidable";
  const [low, high] = interval;
  if (low >= by - margin && high <= by + margin) return "supported";
  return low > by + margin || high < by - margin ? "contradicted" : "not decidable";
}
