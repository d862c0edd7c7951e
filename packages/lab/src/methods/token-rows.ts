/** Rows of tables that train by themselves: that they do, and nothing else of their table. */
import type { Adapter } from "@lowrank/peft";
import type { Proof } from "../store/result.ts";

/** Nothing where no rows are named. */
export function tokenRowsProof({ tokens }: Adapter): Proof[] {
  if (tokens.size === 0) return [];
  const all = [...tokens];
  return [
    {
      name: "trains-rows-of-tables",
      holds: all.every(([, { layer, update }]) => update.rows.trainable && !layer.weight.trainable),
      detail: Object.fromEntries(all.map(([path, { update }]) => [path, update.indices.length])),
    },
  ];
}
