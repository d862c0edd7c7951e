/** Which adapter there is, what it offers, and what the platform says of the card. */
import { spawnSync } from "node:child_process";
import type { Card, Context } from "./row.ts";

/** Dawn's devices die with the object that made them: `gpu` is to be kept. */
export interface OpenAdapter {
  readonly gpu: GPU;
  readonly adapter: GPUAdapter;
  readonly card: Card;
}

/** As the engine looks for one. @throws Error where there is none */
export async function openAdapter(): Promise<OpenAdapter> {
  const { create } = await import("webgpu");
  const gpu = create([]);
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null)
    throw new Error(
      "no adapter: Dawn found no Vulkan driver. An NVIDIA card needs libvulkan.so.1 and VK_DRIVER_FILES with the path of nvidia_icd.json",
    );
  const { vendor, architecture, device, description } = adapter.info;
  const text = [...new Set([vendor, architecture, device, description])].filter((s) => s !== "").join(" ");
  return {
    gpu,
    adapter,
    card: { description: text, software: /swiftshader|llvmpipe|lavapipe|software|basic render/i.test(text) },
  };
}

const INFO = ["vendor", "architecture", "device", "description", "subgroupMinSize", "subgroupMaxSize"] as const;

/** Limits that decide how a kernel may be cut. All of them are in the JSON file. */
const SHOWN = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
] as const;

export async function describeAdapter(context: Context): Promise<void> {
  const began = performance.now();
  const { gpu, adapter, card } = await openAdapter();
  const info = Object.fromEntries(INFO.map((key) => [key, adapter.info[key]]));
  const features = [...adapter.features].sort();
  // properties of the prototype: nothing enumerates them otherwise
  const limits: Record<string, number> = {};
  for (const key in adapter.limits) {
    const value: unknown = adapter.limits[key as keyof GPUSupportedLimits];
    if (typeof value === "number") limits[key] = value;
  }
  context.report({
    name: "adapter",
    ms: performance.now() - began,
    note: card.description + (card.software ? " (a software device: everything below is small)" : ""),
    detail: { ...card, info, features, limits, wgsl: [...gpu.wgslLanguageFeatures].sort() },
  });
  context.report({ name: "features", note: features.join(" ") });
  context.report({ name: "limits", note: SHOWN.map((key) => `${key} ${limits[key]}`).join(" ") });
  const driver = nvidiaSmi();
  if (driver !== undefined) context.report({ name: "nvidia-smi", note: driver });
}

/** Undefined where there is no such command. */
export function nvidiaSmi(): string | undefined {
  const query = "--query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit";
  const { status, stdout } = spawnSync("nvidia-smi", [query, "--format=csv,noheader"], { encoding: "utf8" });
  return status === 0 ? stdout.trim().split("\n")[0] : undefined;
}
