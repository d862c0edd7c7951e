/** Two runs side by side: configs, metrics, predictions. */
import { metricNames, metricOf } from "../metrics/of-evaluation.ts";
import { comparePredictions, type PredictionComparison } from "./predictions.ts";
import { objectOf } from "./run-files.ts";
import type { RunDetail } from "./read-run.ts";

/** One key of the configs, as JSON; null where a run has none. */
export interface ConfigRow {
  readonly key: string;
  readonly a: string | null;
  readonly b: string | null;
  readonly same: boolean;
}

export interface MetricRow {
  readonly name: string;
  readonly a: number | null;
  readonly b: number | null;
  /** b − a. */
  readonly difference: number | null;
}

export interface RunComparison {
  readonly config: readonly ConfigRow[];
  readonly metrics: readonly MetricRow[];
  /** Absent where one of them has none yet. */
  readonly predictions?: PredictionComparison | undefined;
}

/** A run and where it lies. */
export interface Compared {
  readonly folder: string;
  readonly detail: RunDetail;
}

export async function compareRuns(a: Compared, b: Compared): Promise<RunComparison> {
  return {
    config: configRows(a.detail, b.detail),
    metrics: metricRows(a.detail, b.detail),
    predictions: await comparePredictions(a.folder, b.folder),
  };
}

function configRows(a: RunDetail, b: RunDetail): ConfigRow[] {
  const said = ({ config, entry }: RunDetail): Map<string, string> =>
    new Map([...flat(config), ["seed", JSON.stringify(entry.seed ?? null)]]);
  const [x, y] = [said(a), said(b)];
  return [...new Set([...x.keys(), ...y.keys()])].map((key) => {
    const [first, second] = [x.get(key) ?? null, y.get(key) ?? null];
    return { key, a: first, b: second, same: first === second };
  });
}

/** Values by path; lists are values. */
function flat(value: Readonly<Record<string, unknown>>, at = ""): [string, string][] {
  return Object.entries(value).flatMap(([key, inner]): [string, string][] => {
    const path = at === "" ? key : `${at}.${key}`;
    const below = objectOf(inner);
    return below !== undefined && Object.keys(below).length > 0
      ? flat(below, path)
      : [[path, JSON.stringify(inner) ?? "null"]];
  });
}

/** Of the final evaluations, or the last ones. */
function metricRows(a: RunDetail, b: RunDetail): MetricRow[] {
  const said = ({ result, entry }: RunDetail): Map<string, number> => {
    const final = objectOf(result?.["final"]);
    const metrics =
      final === undefined
        ? Object.entries(entry.metrics)
        : metricNames(final).map((name) => [name, metricOf(final, name)] as const);
    const steps = entry.step === undefined ? [] : [["steps", entry.step] as const];
    return new Map([...metrics, ...(entry.loss === undefined ? [] : [["loss", entry.loss] as const]), ...steps]);
  };
  const [x, y] = [said(a), said(b)];
  return [...new Set([...x.keys(), ...y.keys()])].map((name) => {
    const [first, second] = [x.get(name) ?? null, y.get(name) ?? null];
    return { name, a: first, b: second, difference: first === null || second === null ? null : second - first };
  });
}
