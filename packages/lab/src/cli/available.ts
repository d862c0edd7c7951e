/** Memory that there is for what a command does. */
import { freemem } from "node:os";
import type { Device } from "@lowrank/tensor";

/** Memory that this process may still take, limits of a container counted in; null for devices with memory of their own. */
export function availableTo(device: Device | undefined): number | null {
  if (device === undefined || device.name !== "wasm") return null;
  const { availableMemory } = process as unknown as { readonly availableMemory?: () => number };
  return availableMemory?.() ?? freemem();
}
