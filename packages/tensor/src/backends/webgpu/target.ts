/** What a WebGPU device can, and what things cost there. Costs are the ones of WebAssembly until they have been measured on a card. */
import { baseTarget, type Target } from "../../ir/target.ts";
import type { GpuDevice } from "./gpu-types.ts";

export function webGpuTarget({ features }: GpuDevice): Target {
  return {
    ...baseTarget,
    // storage buffers a stage may bind by the default limits
    maxArguments: 8,
    features: new Set(features),
    // minStorageBufferOffsetAlignment by the default limits
    arenaAlignment: 256,
    partAlignment: 256,
  };
}
