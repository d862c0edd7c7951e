/** What was found of a claim, in sentences: the same ones on the first screen and in the claim's own paragraph. */
import type { MetricClaim } from "../../config/claims.ts";
import { LEAST_PAIRS } from "../../statistics/paired.ts";
import type { Verdict } from "../../statistics/verdicts.ts";
import type { Change } from "../model/changes.ts";
import { isMeasured, type DecidedClaim, type DecidedMeasuredClaim, type DecidedMetricClaim } from "../model/claims.ts";
import type { MeasuredFigure } from "../../store/measured.ts";
import {
  bytes,
  change,
  changeRange,
  counted,
  listed,
  metricScale,
  pWords,
  stepTime,
  type MetricScale,
} from "../numbers.ts";

export const VERDICTS: Readonly<Record<Verdict["verdict"], string>> = {
  supported: "Supported",
  contradicted: "Contradicted",
  "not decidable": "Not decidable",
};

/** The claim, as what is compared: `accuracy of b-fp is greater than that of b-ada`. */
export function claimWords({ claim }: DecidedClaim): string {
  if (claim.kind === "change") {
    const [a, b] = claim.configs.map(listed) as [string, string];
    return `${claim.measured} of ${a} differs from that of ${b} by ${change(claim.by)}, give or take ${change(claim.margin).slice(1)}`;
  }
  const scale = metricScale(claim.metric);
  const [a, b] = claim.configs;
  const of = claim.task === undefined ? scale.label : `${scale.label} on ${claim.task}`;
  return claim.kind === "equal"
    ? `${of} of ${a} and of ${b} are the same within ± ${scale.size(claim.margin!)}`
    : `${of} of ${a} is ${claim.kind === "greater" ? "higher" : "lower"} than that of ${b}`;
}

/** What came out, numbers included. */
export function foundWords(decided: DecidedClaim): string {
  return isMeasured(decided) ? changeWords(decided) : differenceWords(decided);
}

function differenceWords(decided: DecidedMetricClaim): string {
  const { doubts } = decided;
  const words = pairWords(decided);
  return doubts.length === 0 ? words : `${words} Not decided: ${doubts.join("; ")}.`;
}

function pairWords({ claim, facts, seeds }: DecidedMetricClaim): string {
  const [a, b] = claim.configs;
  if (facts === undefined) return `There is no seed with runs of both ${a} and ${b} yet.`;
  const scale = metricScale(claim.metric);
  const over = `over ${counted(seeds.length, "seed")}`;
  const mean = `${a} minus ${b} is ${scale.difference(facts.mean)} of ${scale.label} ${over}`;
  if (facts.n < LEAST_PAIRS)
    return `${mean}. ${facts.n === 1 ? "One seed says" : `${facts.n} seeds say`} nothing about chance: no p-value and no interval is given below n = ${LEAST_PAIRS}.`;
  return claim.kind === "equal"
    ? equalWords(claim, facts, { mean, scale })
    : directionWords(claim, facts, { mean, scale });
}

interface Words {
  readonly mean: string;
  readonly scale: MetricScale;
}

function directionWords({ configs: [a, b] }: MetricClaim, facts: Verdict, { mean, scale }: Words): string {
  const interval = `95 % interval ${scale.range(facts.interval95!)}`;
  if (facts.adjusted === undefined)
    return `${mean}, the same in every seed: a test of differences that do not vary has no value.`;
  const p = pWords(facts.adjusted);
  if (facts.verdict === "not decidable")
    return `${mean} (${interval}, ${p}): too little to tell ${a} from ${b}. With this scatter and number of seeds, only a difference of about ${scale.size(facts.smallestDifference!)} would have been likely to show.`;
  return `${mean} (${interval}, ${p}): chance is an unlikely explanation.`;
}

function equalWords({ margin }: MetricClaim, facts: Verdict, { mean, scale }: Words): string {
  const where = {
    supported: `lies within ± ${scale.size(margin!)}: a difference that matters is unlikely`,
    contradicted: `lies outside ± ${scale.size(margin!)}: they are not the same`,
    "not decidable": `is neither within ± ${scale.size(margin!)} nor outside: it may be the same, or not`,
  }[facts.verdict];
  return `${mean}; the 90 % interval, ${scale.range(facts.interval90!)}, ${where}.`;
}

function changeWords({ claim, change: found, absent, verdict }: DecidedMeasuredClaim): string {
  const [a, b] = claim.configs.map(listed) as [string, string];
  if (found === undefined) return absent!;
  const { figure, first, second, rounds, interval90, each } = found;
  const values = `${figure.label}: ${figureWords(figure, first)} for ${a}, ${figureWords(figure, second)} for ${b}, which is ${change(found.change)}`;
  if (interval90 === undefined)
    return `${values}; measured ${counted(rounds, "time")}, too few to say how exact that is.`;
  const how = figure.exact
    ? "computed, so exact"
    : `90 % interval ${changeRange(interval90)} over ${counted(rounds, "round")}`;
  const claimed = `the claimed ${change(claim.by)}`;
  const where = {
    supported: `about ${claimed}`,
    contradicted: `far from ${claimed}`,
    "not decidable": `not exact enough to be held against ${claimed}`,
  }[verdict];
  return `${values} (${how}): ${where}.${eachWords(figure, each)}`;
}

/** Where a side has several configs: one of them may be the reason for all of it. */
function eachWords(figure: MeasuredFigure, each: Change["each"]): string {
  if (each.every((side) => side.length === 1)) return "";
  const said = each.map((side) => side.map(([config, value]) => `${config} ${figureWords(figure, value)}`).join(", "));
  return ` One by one: ${said.join("; against ")}.`;
}

export function figureWords({ unit }: Pick<MeasuredFigure, "unit">, value: number): string {
  return unit === "bytes" ? bytes(value) : stepTime(value);
}
