/**
 * An adapter whose start changed its base (PiSSA, OLoRA, LoftQ), as a plain LoRA beside the original one: W − s₀·B₀·A₀ + s·B·A is W and a product of
 * twice the rank. The rules are those of PEFT's `path_initial_model_for_weight_conversion`. LoftQ's base is W − s₀·B₀·A₀ but for what no product
 * of this rank holds, so that beside W its adapter is off by that much; it is right to the last bit beside its own base (`keepStart`).
 */
import type { LoraConfig } from "./config.ts";

/** Twice the rank, and the alpha that keeps the scale: alpha/r, or alpha/√r. */
export function besideOriginal<C extends LoraConfig>(own: C, saved: (config: C) => C): C | undefined {
  if (own.initLora !== "pissa" && own.initLora !== "olora" && own.initLora !== "loftq") return undefined;
  const config = saved({ ...own, initLora: true, loftq: undefined });
  const [twice, again] = [(n: number) => 2 * n, (alpha: number) => alpha * (config.rsLora ? Math.SQRT2 : 2)];
  const each = (pattern: Readonly<Record<string, number>>, change: (n: number) => number): Record<string, number> =>
    Object.fromEntries(Object.entries(pattern).map(([key, value]) => [key, change(value)]));
  return {
    ...config,
    r: twice(config.r),
    alpha: again(config.alpha),
    rankPattern: each(config.rankPattern, twice),
    alphaPattern: each(config.alphaPattern, again),
  };
}
