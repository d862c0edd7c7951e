/** Opens the WebGPU device: when asked for by name, whatever adapter there is. */
import { checkOptions } from "../../check/rules.ts";
import { DeviceError } from "../../errors.ts";
import { threadOptions } from "../open-options.ts";
import { createWebGpuBackend, WebGpuBackend } from "./backend.ts";
import { requestGpuDevice } from "./device.ts";

/** @throws DeviceError where there is no adapter */
export function openWebGpu(options: Readonly<Record<string, unknown>>): Promise<WebGpuBackend> {
  checkOptions("init", threadOptions, options);
  return createWebGpuBackend();
}

/** Undefined where the platform itself offers no WebGPU, has no adapter after all, or one that computes on the CPU, slower than WebAssembly does. */
export async function openHardwareGpu(): Promise<WebGpuBackend | undefined> {
  if ((globalThis as { navigator?: { gpu?: unknown } }).navigator?.gpu === undefined) return undefined;
  try {
    const open = await requestGpuDevice();
    if (!open.software) return new WebGpuBackend(open);
    open.close();
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
  }
  return undefined;
}
