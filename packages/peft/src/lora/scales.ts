/** The alphas under which a file says the scales that an adapter's updates have. */
import { LowrankError } from "@lowrank/tensor";
import type { SavedRow } from "../methods/method.ts";
import { scaleOf, type LoraConfig } from "./config.ts";

export function refuseScale(why: string): never {
  throw new LowrankError("AdapterError", `saveAdapter: the adapter was scaled, and ${why}; scale it back, or merge it`);
}

/** Every alpha times `strength`. */
export function timesStrength<C extends LoraConfig>(config: C, strength: number): C {
  const times = Object.entries(config.alphaPattern).map(([key, alpha]) => [key, alpha * strength]);
  return {
    ...config,
    alpha: config.alpha * strength,
    alphaPattern: Object.fromEntries(times) as LoraConfig["alphaPattern"],
  };
}

export function savedScales(config: LoraConfig, rows: readonly SavedRow[], strength: number): LoraConfig {
  const uniform = rows.every(({ row, update }) => update.scale === scaleOf(config, row.alpha! * strength, row.rank!));
  if (uniform && strength === 1) return config;
  if (config.initLora === "olora") refuseScale("OLoRA takes alpha to find the base it started from");
  if (config.initLora === "pissa" && rows.some(({ update }) => update.scale <= 0))
    refuseScale("PiSSA divides by it when the base is found again");
  if (uniform) return timesStrength(config, strength);
  // scales were set one by one
  const alphas = rows.map(({ row: { module, rank }, update }) => [
    module.replaceAll(".", "\\."),
    update.scale * (config.rsLora ? Math.sqrt(rank!) : rank!),
  ]);
  return { ...config, alphaMode: "constant", alphaPattern: Object.fromEntries(alphas) as Record<string, number> };
}
