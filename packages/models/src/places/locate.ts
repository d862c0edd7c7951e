/** Where something lies that is to be looked at. */
import { checkOptions, fields, name, optional, type Rule } from "@lowrank/tensor/check";
import { placeOf, type Place } from "./place.ts";
import type { Where } from "./url.ts";

export interface LocateOptions {
  /** Branch, tag or commit of a model of the hub. Default "main". */
  readonly revision?: string;
}
export const LOCATE: Rule<LocateOptions> = fields<LocateOptions>({ revision: optional(name) });

/**
 * What a string means, in the order that `fromPretrained` has: a URL, a folder or file here, a model of the hub. Of the latter what the cache
 * does not have is read by ranges, so that a header costs no download.
 * @throws LowrankError (ConfigError) where it is no place, (InputError) for a revision of what has none, (FileError) for what is neither folder nor file, (FileError, NetworkError) where the hub is meant and has no such model, or cannot be reached
 */
export function locate(from: Where, options: LocateOptions = {}): Promise<Place> {
  const { revision } = checkOptions("locate", LOCATE, options);
  return placeOf("locate", from, "config.json", { ranges: true, ...(revision === undefined ? {} : { revision }) });
}
