/** What the page shows of one run and of two, as it goes over the wire: no more than that. */
import { join } from "node:path";
import { metricNamed, metricNames } from "../metrics/of-evaluation.ts";
import { compareRuns } from "../store/compare-runs.ts";
import { readRun, type RunDetail } from "../store/read-run.ts";
import { numberOf, objectOf } from "../store/run-files.ts";
import { cut } from "../text/shown.ts";
import type { WireComparison, WireDetail, WireFact, WireMetric, WireRun } from "./page/wire.ts";

export function wireDetail(run: WireRun, { detail }: Placed): WireDetail {
  return {
    run,
    facts: factsOf(detail),
    warnings: detail.entry.warnings ?? [],
    proofs: detail.proofs.map(({ name, holds, detail: seen }) => ({ name, holds, detail: wordsOf(seen) })),
    config: flat(detail.config),
    modules: detail.modules.map(({ module, rank }) => ({ module, rank: rank ?? null })),
    files: detail.files,
  };
}

/** A run that was found, read. */
export interface Placed {
  readonly folder: string;
  readonly detail: RunDetail;
}

export function placed({ store, folder }: { readonly store: string; readonly folder: string }): Placed {
  return { folder: join(store, folder), detail: readRun(store, folder) };
}

export async function wireComparison(
  runs: readonly [WireRun, WireRun],
  [a, b]: readonly [Placed, Placed],
): Promise<WireComparison> {
  const { config, metrics, predictions } = await compareRuns(a, b);
  return {
    runs,
    config,
    metrics,
    ...(predictions === undefined ? {} : { predictions }),
    proofs: [a, b].map(({ detail }) => detail.proofs.map(({ name, holds }) => ({ name, holds, detail: "" }))),
    warnings: [a, b].map(({ detail }) => detail.entry.warnings ?? []),
  };
}

/** How metrics that the runs have are read. */
export function metricsOf(runs: readonly WireRun[]): WireMetric[] {
  return [...new Set(runs.flatMap(({ metrics }) => Object.keys(metrics)))].map((name) => {
    const { label, better, unit } = metricNamed(name);
    return { name, label, better, share: unit === "share" };
  });
}

function factsOf({ result, measures, entry }: RunDetail): WireFact[] {
  const final = objectOf(result?.["final"]);
  const parameters = objectOf(result?.["parameters"]);
  const [seconds, memory, speed] = ["seconds", "memory", "speed"].map((key) => objectOf(measures?.[key]));
  const fact = (label: string, value: unknown, kind: WireFact["kind"]): WireFact[] => {
    const number = numberOf(value);
    return number === undefined ? [] : [{ label, value: number, kind }];
  };
  const scores = final ?? entry.metrics;
  return [
    ...metricNames(scores).flatMap((name) =>
      fact(metricNamed(name).label, scores[name], metricNamed(name).unit === "share" ? "share" : "number"),
    ),
    ...fact("loss", entry.loss, "number"),
    ...fact("trained parameters", parameters?.["trainable"], "count"),
    ...fact(
      "trained, of all",
      numberOf(parameters?.["percent"]) === undefined ? undefined : numberOf(parameters!["percent"])! / 100,
      "share",
    ),
    ...fact("time", seconds?.["total"], "seconds"),
    ...fact("per step", seconds?.["perStep"], "seconds"),
    ...fact("tokens/s", speed?.["tokensPerSecond"], "count"),
    ...fact("GFLOP/s", speed?.["gflops"], "number"),
    ...fact("peak memory", memory?.["peakRssBytes"], "bytes"),
    ...fact("arena", memory?.["arenaBytes"], "bytes"),
  ];
}

function wordsOf(seen: Readonly<Record<string, unknown>>): string {
  return Object.entries(seen)
    .map(([key, value]) => `${key} ${cut(typeof value === "string" ? value : JSON.stringify(value))}`)
    .join(", ");
}

function flat(value: Readonly<Record<string, unknown>>, at = ""): [string, string][] {
  return Object.entries(value).flatMap(([key, inner]): [string, string][] => {
    const path = at === "" ? key : `${at}.${key}`;
    const below = objectOf(inner);
    return below !== undefined && Object.keys(below).length > 0
      ? flat(below, path)
      : [[path, JSON.stringify(inner) ?? "null"]];
  });
}
