/** DoRA (Liu et al. 2024): LoRA with each row's magnitude apart from its direction. Its files are LoRA's with `use_dora`. */
import { LowrankError } from "@lowrank/tensor";
import { DoraUpdate } from "../layers/dora.ts";
import { loraConfig, type LoraConfig } from "../lora/config.ts";
import { parseLora } from "../lora/file.ts";
import { loraRows } from "../lora/rows.ts";
import { lora, loraOptions } from "./lora.ts";
import type { Method } from "./method.ts";

export const dora: Method<LoraConfig> = {
  ...lora,
  name: "dora",
  label: "DoRA",
  claims: (source) => source["use_dora"] === true,
  meantBy: (options) => options["dora"] === true,
  // its norms are those of all rows
  cutsVocabulary: false,
  defaults: (options) => {
    if (options.dora === false)
      throw new LowrankError(
        "ConfigError",
        'the options name method "dora" and say dora: false; leave dora out, or name method "lora"',
      );
    return loraConfig(dora, { ...options, dora: true });
  },
  parse: (file, common) => loraConfig(dora, parseLora(file, common)),
  resolve: (chosen, config, unmatched) => loraRows(chosen, config, unmatched, (outFeatures) => outFeatures),
  make: (config) => (row, layer) => new DoraUpdate(layer.site, loraOptions(config, row, layer)),
};
