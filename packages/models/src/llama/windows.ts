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
 * @param slides whether layer i has the window in a file without `layer_types`
 * @throws LowrankError (FormatError) where the file has them for another number of layers
 */
export function layerTypesOf(
  stated: readonly LayerType[] | null,
  layers: number,
  slides: (layer: number) => boolean,
): readonly LayerType[] {
  if (stated !== null && stated.length !== layers)
    throw new LowrankError(
      "FormatError",
      `config.json: layer_types has ${stated.length} entries and num_hidden_layers is ${layers}; one for each layer is needed`,
    );
  return stated ?? Array.from({ length: layers }, (_, i) => (slides(i) ? "sliding_attention" : "full_attention"));
}
