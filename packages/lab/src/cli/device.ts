/** Opens the device that the command line asks for. */
import { init, type Device } from "@lowrank/tensor";
import { InputError } from "../errors.ts";
import type { DeviceChoice } from "./options.ts";

/** `auto` is WebGPU where there is an adapter, else WebAssembly. */
export async function openDevice(options: {
  readonly device: DeviceChoice;
  readonly threads?: number;
}): Promise<Device> {
  const device = await init({
    ...(options.device === "auto" ? {} : { device: options.device }),
    ...(options.threads === undefined ? {} : { threads: options.threads }),
  });
  if (options.threads !== undefined && device.name !== "wasm") {
    device.close();
    throw new InputError(
      `--threads ${options.threads}: the device ${device.name} has no threads; leave it out, or say --device wasm`,
    );
  }
  return device;
}
