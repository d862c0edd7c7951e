/** How weights of a checkpoint are read, in the words of `fromPretrained`. */
import type { PretrainedOptions } from "@lowrank/models";
import type { Device } from "@lowrank/tensor";
import type { BaseStorage } from "./base.ts";

/** A file may keep weights in fewer bits: at full width they are decoded. */
export function loadOptions(
  device: Device,
  { each, rest = "full" }: BaseStorage = {},
): Pick<PretrainedOptions, "dtype" | "storage"> {
  if (rest === "file") return { dtype: "auto", ...(each === undefined ? {} : { storage: each }) };
  return {
    storage: (model) => {
      const kept = each?.(model);
      return (name, weight) => kept?.(name, weight) ?? device.defaultFloat;
    },
  };
}
