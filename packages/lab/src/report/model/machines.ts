/** What the runs were made on. */
import { grouped } from "../grouped.ts";
import type { ReportRun } from "../run.ts";

export interface Machine {
  readonly runs: number;
  readonly cpu: string | undefined;
  readonly cores: number | undefined;
  readonly memoryBytes: number | undefined;
  readonly platform: string | undefined;
  readonly node: string | undefined;
  readonly threads: number | undefined;
}

export function machinesOf(runs: readonly ReportRun[]): Machine[] {
  return [...grouped(runs, ({ measures }) => JSON.stringify(measures.host)).values()].map((of) => {
    const { cpu, cores, memoryBytes, platform, node, threads } = of[0]!.measures.host;
    return { runs: of.length, cpu, cores, memoryBytes, platform, node, threads: threads ?? undefined };
  });
}
