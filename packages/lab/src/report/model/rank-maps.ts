/** Where in the model ranks ended up, by config: the mean over seeds, a row for each kind of module and a column for each layer. */
import { placeOf } from "../../store/rank-map.ts";
import { ranksOf } from "../../study/source-ranks.ts";
import { grouped } from "../grouped.ts";
import type { ReportRun } from "../run.ts";

export interface MeanRankMap {
  readonly config: string;
  readonly runs: number;
  readonly layers: readonly string[];
  readonly kinds: readonly { readonly kind: string; readonly ranks: readonly (number | null)[] }[];
}

/** Of configs whose modules do not all have one rank; rows are in one order in all of them: the model's, as who adapts most has it. @param runs of one task */
export function rankMapsOf(runs: readonly ReportRun[]): MeanRankMap[] {
  const named = runs.map((run) => [...ranksOf(run).keys()]).sort((a, b) => b.length - a.length);
  const rows = [...new Set(named.flat().map((module) => placeOf(module).kind))];
  return [...grouped(runs, ({ config }) => config)].flatMap(([config, of]) => {
    const found = of.map(ranksOf);
    const modules = [...new Set(found.flatMap((ranks) => [...ranks.keys()]))];
    // a module that a run left out has no rank in it
    const mean = new Map(
      modules.map((module) => [module, found.reduce((sum, ranks) => sum + (ranks.get(module) ?? 0), 0) / of.length]),
    );
    if (new Set(mean.values()).size < 2) return [];
    const places = modules.map((module) => ({ ...placeOf(module), rank: mean.get(module)! }));
    const layers = [...new Set(places.map(({ layer }) => layer))].sort((a, b) => order(a) - order(b));
    const there = new Set(places.map(({ kind }) => kind));
    const kinds = rows
      .filter((kind) => there.has(kind))
      .map((kind) => ({
        kind,
        ranks: layers.map(
          (layer) => places.find((place) => place.layer === layer && place.kind === kind)?.rank ?? null,
        ),
      }));
    return [{ config, runs: of.length, layers, kinds }];
  });
}

/** What is in no layer comes last. */
function order(layer: string): number {
  const number = Number(layer);
  return Number.isNaN(number) ? Number.POSITIVE_INFINITY : number;
}
