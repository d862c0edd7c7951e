/**
 * Claims about measured figures: by how much the first side is more than the second, round by round. Supported where all that the measurements allow
 * lies within the margin of what was claimed (the 90 % interval over rounds; of a figure that is computed, the number), contradicted where all of it
 * lies outside.
 */
import { InputError } from "../../errors.ts";
import type { MeasuredClaim } from "../../config/claims.ts";
import { mean } from "../../statistics/descriptive.ts";
import { LEAST_PAIRS, pairedDifference } from "../../statistics/paired.ts";
import type { Verdict } from "../../statistics/verdicts.ts";
import type { Measured, MeasuredFigure } from "../../store/measured.ts";

export interface Change {
  readonly figure: MeasuredFigure;
  readonly what: string;
  readonly host: string;
  /** Content hash of the code that was measured. */
  readonly code: string;
  readonly verdict: Verdict["verdict"];
  readonly rounds: number;
  /** Mean over rounds, in the figure's unit. */
  readonly first: number;
  readonly second: number;
  /** Each config's mean over rounds, side by side. */
  readonly each: readonly (readonly (readonly [config: string, mean: number])[])[];
  /** Mean over rounds of first over second, minus 1. */
  readonly change: number;
  /** 90 %; of an exact figure the number itself; undefined below three rounds. */
  readonly interval90: readonly [number, number] | undefined;
}

/** @returns why there is none in words, where the measurements do not have what the claim is about @throws InputError for two files that have it */
export function changeOf(claim: MeasuredClaim, measured: readonly Measured[], at: string): Change | string {
  const found = measured.flatMap((file) =>
    file.figures.flatMap((figure) => (figure.name === claim.measured ? [{ file, figure }] : [])),
  );
  if (found.length > 1)
    throw new InputError(
      `${at}: more than one measured figure is called "${claim.measured}"; give one file that has it`,
    );
  if (found.length === 0) return absence(claim, measured);
  const { file, figure } = found[0]!;
  const configs = claim.configs.flat();
  const unmeasured = configs.filter((config) => figure.values[config] === undefined);
  if (unmeasured.length > 0) return `"${figure.name}" was not measured of ${unmeasured.join(", ")}.`;
  const rounds = [...new Set(configs.map((config) => figure.values[config]!.length))].sort((a, b) => a - b);
  if (rounds.length > 1)
    return `"${figure.name}" has ${rounds.join(" and ")} values by config, and rounds are compared pairwise: measure all of them as often.`;
  const side = (names: readonly string[]): number[] =>
    Array.from({ length: rounds[0]! }, (_, round) => mean(names.map((config) => figure.values[config]![round]!)));
  const [first, second] = claim.configs.map(side) as [number[], number[]];
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
    code: file.code,
    verdict: decided(claim, interval90),
    rounds: n,
    first: mean(first),
    second: mean(second),
    each: claim.configs.map((names) => names.map((config) => [config, mean(figure.values[config]!)] as const)),
    change,
    interval90: n < LEAST_PAIRS && !figure.exact ? undefined : interval90,
  };
}

function absence({ measured: name }: MeasuredClaim, measured: readonly Measured[]): string {
  if (measured.length === 0)
    return `Nothing was measured yet: give the file of measurements that has "${name}" (--measured FILE).`;
  const names = [...new Set(measured.flatMap(({ figures }) => figures.map((figure) => figure.name)))];
  return `"${name}" was not measured; the files given have ${names.join(", ")}.`;
}

function decided({ by, margin }: MeasuredClaim, interval: readonly [number, number] | undefined): Verdict["verdict"] {
  if (interval === undefined) return "not decidable";
  const [low, high] = interval;
  if (low >= by - margin && high <= by + margin) return "supported";
  return low > by + margin || high < by - margin ? "contradicted" : "not decidable";
}
