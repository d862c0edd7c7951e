/** Pieces of `adapter_config.json` that several methods have, read and written the same way. */
import { absent, anyOf, listOf, name, text, whole, type Rule, type Rules } from "@lowrank/tensor/check";
import type { AdapterConfig } from "./method.ts";

export const CONFIG_FILE = "adapter_config.json";

/** A switch that is on: neither null nor false. */
export const isOn = (value: unknown): boolean => value !== null && value !== false && value !== undefined;

export const notEmpty = (value: unknown): boolean => isOn(value) && !(Array.isArray(value) && value.length === 0);

/** Restriction to some layers. */
export interface LayerKeys {
  readonly layers_to_transform?: number | readonly number[];
  readonly layers_pattern?: string | readonly string[];
}

export const MODULE_NAMES: Rule<string | string[]> = anyOf(text, listOf(name));

export const LAYER_KEYS: Rules<LayerKeys> = {
  layers_to_transform: absent(anyOf(whole(0), listOf(whole(0)))),
  layers_pattern: absent(MODULE_NAMES),
};

/** An empty word is none. */
export function said<T>(value: string | T | undefined): string | T | undefined {
  return value === "" ? undefined : value;
}

/** Layers and where they are numbered, as options. */
export function parseLayers(file: LayerKeys): Pick<AdapterConfig, "layersToTransform" | "layersPattern"> {
  const layers = file.layers_to_transform;
  const patterns = said(file.layers_pattern);
  return {
    layersToTransform: typeof layers === "number" ? [layers] : layers,
    layersPattern: typeof patterns === "string" ? [patterns] : patterns,
  };
}

/** Values for keys that the file did not have. */
export function defaultsUnder(
  source: Readonly<Record<string, unknown>>,
  values: Record<string, unknown>,
): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([key]) => !Object.hasOwn(source, key)));
}

/** Names in PEFT's order. */
export function sortedNames(value: readonly string[] | string | undefined): unknown {
  return value === undefined ? null : typeof value === "string" ? value : [...value].sort();
}

/** One number or name without a list around it, where a file had it so. */
export function writeLayers({
  source,
  layersToTransform,
  layersPattern,
}: Pick<AdapterConfig, "source" | "layersToTransform" | "layersPattern">): Record<string, unknown> {
  const asSaid = (key: string, list: readonly unknown[] | undefined): unknown =>
    list?.length === 1 && list[0] === source[key] ? source[key] : (list ?? null);
  return {
    layers_to_transform: asSaid("layers_to_transform", layersToTransform),
    layers_pattern: asSaid("layers_pattern", layersPattern),
  };
}
