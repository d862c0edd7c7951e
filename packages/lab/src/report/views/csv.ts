/** Numbers for spreadsheets: `claims.csv`, a line for each part of a claim, and `runs.csv`, a line for each run. */
import { stringify } from "csv-stringify/sync";
import { resultsCsv } from "../../store/summary.ts";
import { isMeasured } from "../model/claims.ts";
import type { Report } from "../model/report.ts";
import { shortCode } from "../numbers.ts";

export function claimsCsv({ studies }: Report): string {
  const rows = studies.flatMap(({ study, code, sayings }) =>
    sayings.flatMap(({ says, parts }) =>
      parts.map((part) => {
        const common = {
          study,
          code: shortCode(code),
          says,
          claim: part.claim.name,
          kind: part.claim.kind,
          verdict: part.verdict,
        };
        if (isMeasured(part))
          return {
            ...common,
            first: part.claim.configs[0].join(" "),
            second: part.claim.configs[1].join(" "),
            metric: part.claim.measured,
            n: part.change?.rounds,
            mean: part.change?.change,
            low90: part.change?.interval90?.[0],
            high90: part.change?.interval90?.[1],
          };
        const { claim, facts } = part;
        return {
          ...common,
          first: claim.configs[0],
          second: claim.configs[1],
          metric: claim.metric,
          task: claim.task,
          n: facts?.n ?? 0,
          mean: facts?.mean,
          sd: facts?.sd,
          low95: facts?.interval95?.[0],
          high95: facts?.interval95?.[1],
          low90: facts?.interval90?.[0],
          high90: facts?.interval90?.[1],
          p: facts?.p,
          p_holm: facts?.adjusted,
          d_z: facts?.effect?.dz,
          g_z: facts?.effect?.gz,
          smallest_difference: facts?.smallestDifference,
          p_sign_flip: facts?.beside.signFlip,
          p_wilcoxon: facts?.beside.wilcoxon,
          bootstrap_low95: facts?.beside.bootstrap95?.[0],
          bootstrap_high95: facts?.beside.bootstrap95?.[1],
          pairs: part.pairs.map((names) => names.join(" ")).join(";"),
          doubts: part.doubts.join("; "),
        };
      }),
    ),
  );
  return stringify(rows, { header: true, columns: COLUMNS });
}

const COLUMNS = [
  "study",
  "code",
  "says",
  "claim",
  "kind",
  "first",
  "second",
  "metric",
  "task",
  "verdict",
  "n",
  "mean",
  "sd",
  "low95",
  "high95",
  "low90",
  "high90",
  "p",
  "p_holm",
  "d_z",
  "g_z",
  "smallest_difference",
  "p_sign_flip",
  "p_wilcoxon",
  "bootstrap_low95",
  "bootstrap_high95",
  "pairs",
  "doubts",
];

/** Runs by their names, with which lines of results have the whole of their identity. */
export function runsCsv({ studies }: Report): string {
  const runs = studies.flatMap(({ runs: of, code }) =>
    of.map((run) => ({ ...run, id: undefined, code: shortCode(code) })),
  );
  return resultsCsv(runs);
}
