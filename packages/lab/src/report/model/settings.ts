/** Resolved settings of all configs: what they have in common, and what tells them apart. */
import { grouped } from "../grouped.ts";
import type { ReportRun } from "../run.ts";
import { flatSettings } from "../settings-text.ts";
import { MANNER } from "../study-file.ts";

export interface Settings {
  readonly configs: readonly string[];
  /** The same in every run. */
  readonly common: readonly (readonly [key: string, value: string])[];
  /** A value for each config, undefined where it has no such key. */
  readonly apart: readonly { readonly key: string; readonly values: readonly (string | undefined)[] }[];
  /** Configs whose runs were not all made with one setting that seeds do not decide: their mean is of different things. */
  readonly mixed: readonly { readonly config: string; readonly key: string }[];
}

/** Said where the runs of a config have several values. */
export const BY_SEED = "by seed";

/** @param runs of one task */
export function settingsOf(runs: readonly ReportRun[]): Settings {
  const configs = [...grouped(runs, ({ config }) => config)].map(([config, of]) => {
    const said = of.map(({ resolved }) => flatSettings(resolved));
    const keys = [...new Set(said.flatMap((one) => [...one.keys()]))];
    const value = (key: string): string | undefined => {
      const values = new Set(said.map((one) => one.get(key)));
      return values.size > 1 ? BY_SEED : [...values][0];
    };
    return {
      config,
      ranked: of[0]!.resolved.method.from !== undefined,
      values: new Map(keys.map((key) => [key, value(key)])),
    };
  });
  const keys = [...new Set(configs.flatMap(({ values }) => [...values.keys()]))];
  const rows = keys.map((key) => ({ key, values: configs.map(({ values }) => values.get(key)) }));
  const same = rows.filter(({ values }) => new Set(values).size === 1 && values[0] !== BY_SEED);
  return {
    configs: configs.map(({ config }) => config),
    common: same.map(({ key, values }) => [key, values[0]!] as const),
    apart: rows.filter((row) => !same.includes(row)),
    mixed: configs.flatMap(({ config, ranked, values }) =>
      [...values].flatMap(([key, value]) =>
        // ranks that another run found are another run's for each seed
        value === BY_SEED && !MANNER.has(key) && !(ranked && key.startsWith("method.")) ? [{ config, key }] : [],
      ),
    ),
  };
}
