/** The order of the table's rows. */
import type { WireRun } from "./wire.ts";

export type SortKey =
  | "name"
  | "state"
  | "config"
  | "seed"
  | "step"
  | "loss"
  | "seconds"
  | "changed"
  | `metric:${string}`;

/** Runs that have no such value come last, whichever way round; equal ones by name. */
export function sorted(runs: readonly WireRun[], key: SortKey, down: boolean): WireRun[] {
  const value = (run: WireRun): string | number | undefined =>
    key.startsWith("metric:")
      ? run.metrics[key.slice("metric:".length)]
      : (run[key as Exclude<SortKey, `metric:${string}`>] as string | number | undefined);
  const keyed = runs.map((run) => ({ run, value: value(run) }));
  const sign = down ? -1 : 1;
  keyed.sort((a, b) => {
    if (a.value === undefined || b.value === undefined)
      return Number(a.value === undefined) - Number(b.value === undefined) || byName(a.run, b.run);
    if (a.value === b.value) return byName(a.run, b.run);
    if (key === "name") return sign * byName(a.run, b.run);
    return (a.value < b.value ? -1 : 1) * sign;
  });
  return keyed.map(({ run }) => run);
}

/** Seed 2 comes before seed 10. */
const names = new Intl.Collator("en", { numeric: true });

function byName(a: WireRun, b: WireRun): number {
  return names.compare(a.name, b.name);
}
