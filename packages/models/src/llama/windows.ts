/** Which layers have a sliding window: `layer_types` of a `config.json`, or what older files say in its place. */
import { LowrankError } from "@lowrank/tensor";
import { listOf, oneOf, type Rule } from "@lowrank/tensor/check";
import { orNull } from "../shared/config-rules.ts";
import { key, type ConfigKey } from "../shared/config-table.ts";

const LAYER_TYPES = ["full_attention", "sliding_attention"] as const;
export type LayerType = (typeof LAYER_TYPES)[number];

const types: Rule<readonly LayerType[]> = listOf(oneOf(...LAYER_TYPES));
export const layerTypesKey: ConfigKey<readonly LayerType[] | null> = key("layer_types", orNull(types), null);

/**
 * One for each layer.
 * @param window how many tokens a sliding layer sees; null: the file has no window
 * @param slides whether layer i has the window in a file without `layer_types`
 * @throws LowrankError (FormatError) where the file has them for another number of layers, or a layer slides without a window
 */
export function layerTypesOf(
  stated: readonly LayerType[] | null,
  layers: number,
  window: number | null,
  slides: (layer: number) => boolean,
): readonly LayerType[] {
  if (stated !== null && stated.length !== layers)
    throw new LowrankError(
      "FormatError",
      `config.json: layer_types has ${stated.length} entries and num_hidden_layers is ${layers}; one for each layer is needed`,
    );
  if (window === null && stated?.includes("sliding_attention") === true)
    throw new LowrankError(
      "FormatError",
      "config.json: layer_types has sliding_attention, and there is no window: set sliding_window (for Qwen use_sliding_window too), or say full_attention",
    );
  return stated ?? Array.from({ length: layers }, (_, i) => (slides(i) ? "sliding_attention" : "full_attention"));
}
