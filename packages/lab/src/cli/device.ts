/** Opens the device that the command line asks for. */
import { init, type Device } from "@lowrank/tensor";
import type { DeviceChoice } from "./options.ts";

/** `auto` is WebGPU where there is an adapter, else WebAssembly. */
export function openDevice(options: { readonly device: DeviceChoice; readonly threads?: number }): Promise<Device> {
  return init({
    ...(options.device === "auto" ? {} : { device: options.device }),
    ...(options.threads === undefined ? {} : { threads: options.threads }),
  });
}
