/** Weights of a model that a source keeps in a quantized form, as they are there. `fromPretrained` of @lowrank/models does this and the rest. */
import { aFormat, loadForm, Projection, type Format, type Module } from "@lowrank/nn";
import { LowrankError, quote, type Device, type TensorSource } from "@lowrank/tensor";
import { callback, checkOptions, fields, flag, listOf, optional, suggestion, type Rule } from "@lowrank/tensor/check";
import type { ReadOptions } from "./bnb-file.ts";
import { formatOf } from "./formats/registry.ts";

export interface LoadQuantizedOptions extends ReadOptions {
  /** Name in the file of a weight of the model. Default: the same. */
  readonly nameOf?: (name: string) => string;
  /** A form of the user's own, asked before those that are built in. */
  readonly formats?: readonly Format[];
}

const LOAD_OPTIONS: Rule<LoadQuantizedOptions> = fields<LoadQuantizedOptions>({
  nameOf: optional(callback()),
  allowNonFinite: optional(flag),
  formats: optional(listOf(aFormat)),
});

/**
 * Gives each projection whose weight `source` keeps in a quantized form its codes and scales as they are in the file; `materialize` then
 * fills the rest. To be called before it.
 * @returns names of the weights, in the model
 * @throws LowrankError (FormatError) on entries that are damaged or of another shape, naming them, and where no quantized weight of the
 * file is one of the model's
 */
export async function loadQuantized(
  model: Module,
  source: TensorSource,
  device: Device,
  options: LoadQuantizedOptions = {},
): Promise<string[]> {
  const read = checkOptions("loadQuantized", LOAD_OPTIONS, options);
  const { nameOf = (name: string): string => name, allowNonFinite = false, formats: own = [] } = read;
  const loaded: string[] = [];
  const wanted: string[] = [];
  for (const [path, module] of model.namedModules()) {
    if (!(module instanceof Projection)) continue;
    const { weight } = module;
    const stored = nameOf(`${path}.weight`);
    wanted.push(stored);
    if (weight.materialized) continue;
    const format = formatOf(source, stored, own);
    if (format === undefined) continue;
    weight.form = await loadForm(format, device, source, stored, {
      shape: weight.shape,
      transposed: module.fanInFanOut,
      allowNonFinite,
    });
    loaded.push(`${path}.weight`);
  }
  if (loaded.length === 0) {
    const held = source.names.filter((name) => formatOf(source, name, own) !== undefined);
    throw new LowrankError(
      "FormatError",
      held.length === 0
        ? "loadQuantized: the file holds no weight in a quantized form"
        : `loadQuantized: none of the file's ${held.length} quantized weights is one of the model's: it has ${quote(held[0])}${suggestion(held[0]!, wanted.slice(0, 50))}`,
    );
  }
  return loaded;
}
