/** Options of LoRA that AdaLoRA has no use for. */
import type { AdaLoraAdapterConfig } from "./config.ts";

/** What is said and has no meaning under AdaLoRA. PEFT warns of the first and ignores the others without a word. */
export function adaLoraIdle({
  adaLora,
  r,
  rsLora,
  loraBias,
  initLora,
  alphaMode,
  rankPattern,
  alphaPattern,
}: AdaLoraAdapterConfig): string[] {
  const idle: readonly (readonly [string, boolean])[] = [
    [
      `r (${r}) has no meaning beside AdaLoRA, whose modules start with init_r ${adaLora.initR}`,
      r !== 8 && r !== adaLora.initR,
    ],
    ["use_rslora has no meaning under AdaLoRA, whose scale is alpha/init_r", rsLora],
    ["lora_bias has no meaning under AdaLoRA", loraBias],
    [
      `init_lora_weights ${JSON.stringify(initLora)} has no meaning under AdaLoRA, which starts from small random factors and zeros`,
      typeof initLora === "string",
    ],
    ["alphaMode has no meaning under AdaLoRA, where all modules have one scale", alphaMode !== "constant"],
    ["rank_pattern has no meaning under AdaLoRA, which decides ranks itself", Object.keys(rankPattern).length > 0],
    [
      "alpha_pattern has no meaning under AdaLoRA, where all modules have one alpha",
      Object.keys(alphaPattern).length > 0,
    ],
  ];
  return idle.flatMap(([what, said]) => (said ? [what] : []));
}
