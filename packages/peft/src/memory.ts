/** Where an adapter's values lie and what they start from. */
import { Module } from "@lowrank/nn";
import type { Device, DType } from "@lowrank/tensor";
import { device, instance, optional, whole, type Rules } from "@lowrank/tensor/check";
import { FLOATS } from "./values.ts";

export interface Memory {
  readonly device: Device;
  /** Fresh values depend on this and on the module's path. Default 0. */
  readonly seed?: number;
  /** Default: the device's float. */
  readonly dtype?: DType;
  /** The model at full width, of which the adapter's is kept in four bits: what LoftQ starts from. It is read, and may be disposed of afterwards. */
  readonly original?: Module;
}

export const MEMORY: Rules<Memory> = {
  device,
  seed: optional(whole(0)),
  dtype: optional(FLOATS),
  original: optional(instance(Module)),
};
