/** Differences between configs, seed by seed, with their intervals. */
import type { Block } from "../document.ts";
import { forest } from "../figures/forest.ts";
import type { Difference } from "../model/pairs.ts";
import type { TaskReport } from "../model/report.ts";
import { metricScale, NONE } from "../numbers.ts";
import { right, whole } from "./columns.ts";
import { anchor, onTask } from "./names.ts";

export function differences(task: TaskReport, id: string): Block[] {
  if (task.differences.length === 0) return [];
  const scale = metricScale(task.metric);
  const words = ({ a, b, n, mean, interval95 }: Difference): string =>
    `${a} minus ${b}: ${scale.difference(mean)}${interval95 === undefined ? "" : `, 95 % interval ${scale.range(interval95)}`}, n = ${n}`;
  const margin = scale.axis.endsWith("%") ? 0.01 : undefined;
  return [
    {
      kind: "figure",
      name: anchor(id, "differences"),
      drawing: forest(
        task.differences.map((row) => ({
          label: `${row.a} − ${row.b}`,
          note: `n = ${row.n}${row.claimed ? ", claimed" : ""}`,
          mean: scale.plain(row.mean),
          interval: row.interval95 && [scale.plain(row.interval95[0]), scale.plain(row.interval95[1])],
          strong: row.claimed,
          words: words(row),
        })),
        {
          title: `Differences in ${scale.label}${onTask(task)}, seed by seed`,
          axis: `difference in ${scale.axis.replace(", %", ", points")}`,
          margin: margin === undefined ? undefined : scale.plain(margin),
        },
      ),
      caption: `Mean paired difference in ${scale.label} and its 95 % interval (uncorrected). Blue: pairs that claims are about. Grey: every other config against ${task.scores[0]!.config}, for orientation, without a test.${margin === undefined ? "" : " The band is ± 1 point, within which two configs count as equal."} A circle without a line has fewer than three seeds; an arrow lies beyond the edge.`,
    },
    {
      kind: "details",
      summary: "The same as a table",
      blocks: [
        {
          kind: "table",
          caption: `Paired differences in ${scale.label}`,
          columns: [whole("pair"), { title: "claimed" }, right("n"), right("mean difference"), right("95 % interval")],
          rows: task.differences.map(({ a, b, claimed, n, mean, interval95 }) => [
            `${a} − ${b}`,
            claimed ? "yes" : "no",
            String(n),
            scale.difference(mean),
            interval95 === undefined ? NONE : scale.range(interval95),
          ]),
        },
      ],
    },
  ];
}
