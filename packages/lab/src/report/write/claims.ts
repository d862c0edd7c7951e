/** A paragraph for each claim: its verdict, all numbers behind it, and the other tests beside the one that decides. */
import type { Block } from "../document.ts";
import {
  isMeasured,
  type DecidedClaim,
  type DecidedMeasuredClaim,
  type DecidedMetricClaim,
  type Saying,
} from "../model/claims.ts";
import type { StudyReport } from "../model/report.ts";
import { changeRange, change, effect, metricScale, NONE, probability, shortCode } from "../numbers.ts";
import { anchor } from "./names.ts";
import { claimWords, figureWords, foundWords, VERDICTS } from "./verdict-words.ts";

export function claims({ sayings, family }: StudyReport, id: string): Block[] {
  if (sayings.length === 0) return [];
  return [
    { kind: "heading", level: 3, text: "Claim by claim", id: anchor(id, "claims") },
    { kind: "paragraph", text: rules(family), role: "note" },
    ...sayings.flatMap((saying, i) => sayingBlocks(saying, anchor(id, "claim", i + 1))),
  ];
}

function rules(family: number): string {
  return `How claims are decided: the paired t test over seeds and its interval decide. A difference is supported where its p-value, corrected by Holm's method over all claims of a difference in this study (${family}), is below 0.05 in the claimed direction, and contradicted where it is so in the other. Equality is supported where the 90 % interval lies within the margin, contradicted where it lies outside. Everything else is not decidable at this n. What claims in the same words say is one claim of several parts: supported where all parts are, contradicted where one is, else not decidable. The sign-flip test, Wilcoxon's test, the bootstrap and McNemar's test stand beside and decide nothing.`;
}

function sayingBlocks({ says, verdict, parts }: Saying, id: string): Block[] {
  return [
    { kind: "heading", level: 3, text: `“${says}”: ${VERDICTS[verdict].toLowerCase()}`, id },
    ...parts.flatMap((part): Block[] => [
      {
        kind: "paragraph",
        text: `${parts.length > 1 ? `${VERDICTS[part.verdict]}. ` : ""}Claimed: ${claimWords(part)}. Found: ${foundWords(part)}`,
      },
      ...(isMeasured(part) ? changeNumbers(part) : differenceNumbers(part)),
    ]),
  ];
}

function numbers(part: DecidedClaim, rows: readonly (readonly [string, string])[]): Block {
  return {
    kind: "table",
    caption: `Numbers behind ${part.claim.name}`,
    columns: [{ title: "what" }, { title: "value" }],
    rows,
  };
}

function differenceNumbers(part: DecidedMetricClaim): Block[] {
  const { claim, facts, seeds, alone } = part;
  if (facts === undefined) return [];
  const scale = metricScale(claim.metric);
  const range = (interval: readonly [number, number] | undefined): string =>
    interval === undefined ? NONE : scale.range(interval);
  const { beside } = facts;
  const smallest =
    beside.smallestSignFlip === undefined ? "" : ` (at this n never below ${probability(beside.smallestSignFlip)})`;
  return [
    numbers(part, [
      ["verdict", VERDICTS[part.verdict]],
      ["n (seeds)", `${facts.n} (${seeds.join(", ")})`],
      ...(alone.length === 0 ? [] : [["seeds of one of the two only, left out", alone.join(", ")] as const]),
      [`mean difference, ${claim.configs.join(" minus ")}`, scale.difference(facts.mean)],
      ["standard deviation of differences", facts.sd === undefined ? NONE : scale.size(facts.sd)],
      ["95 % interval", range(facts.interval95)],
      ["90 % interval", range(facts.interval90)],
      ["p, paired t test", probability(facts.p)],
      [
        "p after Holm's correction",
        claim.kind === "equal" ? "not in the family: equality" : probability(facts.adjusted),
      ],
      ["effect size d_z (Hedges' g_z)", `${effect(facts.effect?.dz)} (${effect(facts.effect?.gz)})`],
      [
        "smallest difference found with probability 0.8",
        facts.smallestDifference === undefined ? NONE : scale.size(facts.smallestDifference),
      ],
      ["beside: p, sign-flip permutation", `${probability(beside.signFlip)}${smallest}`],
      ["beside: p, Wilcoxon's signed ranks", probability(beside.wilcoxon)],
      ["beside: bootstrap 95 % interval", range(beside.bootstrap95)],
    ]),
    ...mcnemarTable(part),
  ];
}

function mcnemarTable({ claim, mcnemar }: DecidedMetricClaim): Block[] {
  if (mcnemar.length === 0) return [];
  const [a, b] = claim.configs;
  return [
    {
      kind: "details",
      summary: `McNemar's exact test, seed by seed (${claim.name})`,
      blocks: [
        {
          kind: "table",
          caption:
            "Items that only one of the two decided rightly. Never pooled over seeds: the items are the same ones each time.",
          columns: ["seed", "items", `only ${a} right`, `only ${b} right`, "p"].map(
            (title, i) => ({ title, align: i === 0 ? "left" : "right" }) as const,
          ),
          rows: mcnemar.map(({ seed, items, onlyFirst, onlySecond, p }) => [
            String(seed),
            String(items),
            String(onlyFirst),
            String(onlySecond),
            probability(p),
          ]),
        },
      ],
    },
  ];
}

function changeNumbers(part: DecidedMeasuredClaim): Block[] {
  const { change: found, claim } = part;
  if (found === undefined) return [];
  const { figure, first, second, rounds, interval90, what, host, code } = found;
  return [
    numbers(part, [
      ["verdict", VERDICTS[part.verdict]],
      ["what is measured", figure.definition],
      ["at", `${what}; ${host}; code ${shortCode(code)}`],
      [claim.configs[0].join(", "), figureWords(figure, first)],
      [claim.configs[1].join(", "), figureWords(figure, second)],
      ["change", change(found.change)],
      ["claimed", `${change(claim.by)}, ± ${change(claim.margin).slice(1)}`],
      [figure.exact ? "computed" : "90 % interval", interval90 === undefined ? NONE : changeRange(interval90)],
      ["rounds", String(rounds)],
    ]),
  ];
}
