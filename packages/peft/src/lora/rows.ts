/** Ranks, alphas and scales of the chosen modules. */
import { LowrankError, quote } from "@lowrank/tensor";
import type { ChosenTarget, TargetRow } from "../methods/method.ts";
import { patternKeys, type Unmatched } from "../names.ts";
import { evenAlpha, scaleOf, type LoraConfig } from "./config.ts";

/** Ranks beyond min(in, out) add nothing, but PEFT takes them, and a default rank on a narrow layer is common; this many times the layer's width is a slip. */
const WIDEST = 64;

/** A row of a product of rank r. @throws LowrankError (ConfigError) on a rank that no module of this size can mean */
export function rankRow(
  { path, inFeatures, outFeatures }: ChosenTarget,
  { rank, alpha, scale, extra }: { rank: number; alpha: number; scale: number; extra: number },
  label = "LoRA",
): TargetRow & Required<Pick<TargetRow, "rank" | "alpha" | "scale">> {
  if (rank > WIDEST * Math.max(inFeatures, outFeatures))
    throw new LowrankError(
      "ConfigError",
      `${label}: rank ${rank} on ${path}, which is ${inFeatures} × ${outFeatures}: ranks above ${Math.min(inFeatures, outFeatures)} add nothing to it, and above ${WIDEST * Math.max(inFeatures, outFeatures)} are refused; give a smaller r`,
    );
  const parameters = rank * (inFeatures + outFeatures) + extra;
  return { module: path, inFeatures, outFeatures, rank, alpha, scale, parameters };
}

/** @param extra trained values beside A and B, of a module with so many outputs */
export function loraRows(
  chosen: readonly ChosenTarget[],
  config: LoraConfig,
  unmatched: Unmatched,
  extra: (outFeatures: number) => number,
): TargetRow[] {
  const paths = chosen.map(({ path }) => path);
  const [ranks, alphas] = [
    patternKeys(config.rankPattern, "rank_pattern"),
    patternKeys(config.alphaPattern, "alpha_pattern"),
  ];
  checkPatterns("rank_pattern", config.rankPattern, ranks, paths, unmatched);
  checkPatterns("alpha_pattern", config.alphaPattern, alphas, paths, unmatched);
  return chosen.map((target) => {
    const [rankKey, alphaKey] = [ranks.first(target.path), alphas.first(target.path)];
    const rank = rankKey === undefined ? config.r : config.rankPattern[rankKey]!;
    const usual = config.alphaMode === "constantScaling" ? evenAlpha(config, rank) : config.alpha;
    const alpha = alphaKey === undefined ? usual : config.alphaPattern[alphaKey]!;
    return rankRow(target, { rank, alpha, scale: scaleOf(config, alpha, rank), extra: extra(target.outFeatures) });
  });
}

function checkPatterns(
  what: string,
  patterns: Readonly<Record<string, number>>,
  { first, matches }: ReturnType<typeof patternKeys>,
  paths: readonly string[],
  unmatched: Unmatched,
): void {
  const used = new Set(paths.map(first));
  for (const key of Object.keys(patterns)) {
    if (used.has(key)) continue;
    const shadowed = paths.some((path) => matches(key, path));
    if (shadowed) unmatched.say(`${what} ${quote(key)} only matches modules that an earlier key takes; put it first`);
    else unmatched.name(what, key, paths, "matches no target module; a key is the end of a path at a dot");
  }
}
