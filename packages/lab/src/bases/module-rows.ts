/** An adapter's resolved table as results store it. */
import type { TargetRow } from "@lowrank/peft";
import type { ModuleRow } from "../store/result.ts";

/** The table without alphas, which are in the scales. */
export function moduleRows(table: readonly TargetRow[]): ModuleRow[] {
  return table.map(({ module, inFeatures, outFeatures, rank, scale, scales, parameters }) => ({
    module,
    in: inFeatures,
    out: outFeatures,
    ...(scales === undefined ? { rank, scale } : { scales }),
    parameters,
  }));
}
