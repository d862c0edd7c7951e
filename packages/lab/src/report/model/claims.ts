/** The claims of a study and what its runs say about each. Claims of the same words are parts of one, which holds where all of them do. */
import type { MeasuredClaim, MetricClaim, StudyClaim } from "../../config/claims.ts";
import { verdicts, type Verdict } from "../../statistics/verdicts.ts";
import { taskLabel } from "../../store/by-task.ts";
import type { Measured } from "../../store/measured.ts";
import { grouped } from "../grouped.ts";
import type { ReportRun } from "../run.ts";
import { changeOf, type Change } from "./changes.ts";
import { doubtsOf, type Doubtful } from "./doubts.ts";
import { mcnemarBySeed, pairsOf, samplesOf, type SeedMcNemar } from "./pairs.ts";

export interface DecidedMetricClaim {
  readonly claim: MetricClaim;
  readonly verdict: Verdict["verdict"];
  readonly seeds: readonly number[];
  /** Names of the two runs of each seed. */
  readonly pairs: readonly (readonly [string, string])[];
  /** Seeds that one of the two has no run for. */
  readonly alone: readonly number[];
  /** Why it is not decided, whatever the numbers say. */
  readonly doubts: readonly string[];
  /** In the metric's units; undefined where no seed has runs of both. */
  readonly facts: Verdict | undefined;
  readonly mcnemar: readonly SeedMcNemar[];
}

export interface DecidedMeasuredClaim {
  readonly claim: MeasuredClaim;
  readonly verdict: Verdict["verdict"];
  readonly change: Change | undefined;
  /** Why there is none. */
  readonly absent: string | undefined;
}

export type DecidedClaim = DecidedMetricClaim | DecidedMeasuredClaim;

export interface Saying {
  readonly says: string;
  readonly verdict: Verdict["verdict"];
  readonly parts: readonly DecidedClaim[];
}

export function isMeasured(decided: DecidedClaim): decided is DecidedMeasuredClaim {
  return decided.claim.kind === "change";
}

/** The family of Holm's correction is all claims of a difference of the study, those without runs too. @param source for messages about measurements */
export function decideClaims(
  claims: readonly StudyClaim[],
  runs: readonly ReportRun[],
  doubtful: Doubtful,
  measured: readonly Measured[],
  source: string,
): Saying[] {
  const about = claims.filter((claim): claim is MetricClaim => claim.kind !== "change");
  const paired = about.map((claim) => {
    const ofTask = runs.filter((run) => taskLabel(run) === claim.task);
    const pairs = pairsOf(ofTask, claim.configs, claim.metric);
    const [x, y] = samplesOf(pairs, claim.metric);
    const { kind, margin } = claim;
    const doubts = doubtsOf(claim, ofTask, pairs, doubtful);
    return { claim, pairs, doubts, x, y, asked: kind === "equal" ? { kind, margin: margin! } : { kind } };
  });
  const facts = verdicts(paired.map(({ asked, x, y }) => ({ claim: asked, x, y })));
  const decided = claims.map((claim): DecidedClaim => {
    if (claim.kind === "change") {
      const change = changeOf(claim, measured, `${source}: "claims.${claim.name}"`);
      return typeof change === "string"
        ? { claim, verdict: "not decidable", change: undefined, absent: change }
        : { claim, verdict: change.verdict, change, absent: undefined };
    }
    const place = about.indexOf(claim);
    const { pairs, doubts } = paired[place]!;
    const of = pairs.seeds.length === 0 ? undefined : facts[place]!;
    return {
      claim,
      verdict: of === undefined || doubts.length > 0 ? "not decidable" : of.verdict,
      seeds: pairs.seeds,
      pairs: pairs.runs.map(([a, b]) => [a.name, b.name]),
      alone: pairs.alone,
      doubts,
      facts: of,
      mcnemar: mcnemarBySeed(pairs),
    };
  });
  return [...grouped(decided, ({ claim }) => claim.says)].map(([says, parts]) => ({
    says,
    verdict: together(parts),
    parts,
  }));
}

/** All parts have to hold; one that does not is enough. */
function together(parts: readonly DecidedClaim[]): Verdict["verdict"] {
  if (parts.some(({ verdict }) => verdict === "contradicted")) return "contradicted";
  return parts.every(({ verdict }) => verdict === "supported") ? "supported" : "not decidable";
}
