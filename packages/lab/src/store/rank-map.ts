/** Ranks by place in the model: a row for each layer, a column for each kind of module. */
import type { RunDetail } from "./read-run.ts";

export interface RankMap {
  readonly kinds: readonly string[];
  readonly layers: readonly { readonly layer: string; readonly ranks: readonly (number | null)[] }[];
  /** Of the last choice; absent where ranks are fixed. */
  readonly step?: number;
  readonly budget?: number;
}

/** Layer and kind: `bert.encoder.layer.0.attention.self.query` is layer `0` and `attention.self.query`; a module in no layer is a layer of its own. */
export function placeOf(module: string): { readonly layer: string; readonly kind: string } {
  const [, layer, kind] = /\.(\d+)\.(.+)$/.exec(module) ?? [];
  return layer === undefined || kind === undefined ? { layer: "–", kind: module } : { layer, kind };
}

/** Of the last choice where ranks are decided, else as they were given. Undefined where no module has a rank. */
export function rankMap({ ranks: table, modules }: Pick<RunDetail, "ranks" | "modules">): RankMap | undefined {
  const last = table.rows.at(-1);
  const ranks = new Map(
    last === undefined
      ? modules.flatMap(({ module, rank }) => (rank === undefined ? [] : [[module, rank] as const]))
      : table.columns.slice(FIRST_MODULE).map((module, c) => [module, last[c + FIRST_MODULE] ?? null] as const),
  );
  if (ranks.size === 0) return undefined;
  const places = [...ranks].map(([module, rank]) => ({ ...placeOf(module), rank }));
  const kinds = [...new Set(places.map(({ kind }) => kind))];
  const layers = [...new Set(places.map(({ layer }) => layer))];
  const [step, budget] = last ?? [];
  return {
    kinds,
    layers: layers.map((layer) => ({
      layer,
      ranks: kinds.map((kind) => places.find((place) => place.layer === layer && place.kind === kind)?.rank ?? null),
    })),
    ...(typeof step === "number" ? { step } : {}),
    ...(typeof budget === "number" ? { budget } : {}),
  };
}

/** Before the modules, `ranks.csv` has step, budget, kept. */
export const FIRST_MODULE = 3;
