/** Opens a WebGPU device: the browser's own, or Dawn through the optional package `webgpu` in Node. */
import { DeviceError } from "../../errors.ts";
import {
  BufferUsage,
  COMPUTE_STAGE,
  MAP_READ,
  type Gpu,
  type GpuAdapter,
  type GpuBuffer,
  type GpuDevice,
} from "./gpu-types.ts";

/** A device and what keeps it alive. */
export interface OpenDevice {
  readonly device: GpuDevice;
  readonly description: string;
  /** True for drivers that compute on the CPU (SwiftShader, lavapipe, WARP): right, but slower than the `wasm` device. */
  readonly software: boolean;
  close(): void;
}

/** Limits whose defaults are small; everything else stays at what every WebGPU device offers. */
const WANTED_LIMITS = ["maxBufferSize", "maxStorageBufferBindingSize"] as const;
/** Taken where they are to be had, for templates that require them. */
const WANTED_FEATURES = ["shader-f16", "subgroups"];

/** Throws DeviceError, naming the fix, when there is no adapter or when it does not compute. */
export async function requestGpuDevice(): Promise<OpenDevice> {
  // Dawn's devices die with the object that made them, and the process lives as long as it does: held here, dropped by close()
  let gpu: Gpu | undefined = await findGpu();
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) throw new DeviceError(`webgpu: ${NO_ADAPTER}`);
  const device = await adapter.requestDevice({
    requiredLimits: Object.fromEntries(WANTED_LIMITS.map((name) => [name, adapter.limits[name]])),
    requiredFeatures: WANTED_FEATURES.filter((name) => adapter.features.has(name)),
  });
  const close = (): void => {
    device.destroy();
    gpu = undefined;
  };
  try {
    await checkThatItComputes(device);
  } catch (error) {
    close();
    throw error;
  }
  return {
    device,
    description: describe(adapter),
    software: /swiftshader|llvmpipe|lavapipe|software|basic render/i.test(describe(adapter)),
    close,
  };
}

const NO_ADAPTER =
  "no adapter. In Node on Linux this needs a Vulkan driver and its loader (Debian: apt-get install libvulkan1 mesa-vulkan-drivers); in a browser, one that has WebGPU enabled. The `wasm` device needs neither.";

async function findGpu(): Promise<Gpu> {
  const { navigator } = globalThis as { readonly navigator?: { readonly gpu?: Gpu } };
  if (navigator?.gpu !== undefined) return navigator.gpu;
  let dawn: { create(options: readonly string[]): Gpu };
  try {
    // the name is kept from bundlers: browsers have no use for it
    const name = "webgpu";
    dawn = (await import(/* @vite-ignore */ name)) as typeof dawn;
  } catch (cause) {
    throw new DeviceError(
      "webgpu: this runtime has no navigator.gpu. In Node, install the optional package: npm install webgpu",
      { cause },
    );
  }
  return dawn.create([]);
}

function describe({ info }: GpuAdapter): string {
  return (
    [...new Set([info.vendor, info.architecture, info.device, info.description])].filter((s) => s !== "").join(" ") ||
    "unnamed adapter"
  );
}

const CANARY = `@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(1) fn main() { x[0] = x[0] * 2.0f; }`;

/** Dawn's null backend accepts everything and computes nothing: 3 · 2 must be 6. */
async function checkThatItComputes(device: GpuDevice): Promise<void> {
  const x = device.createBuffer({ size: 4, usage: BufferUsage.storage | BufferUsage.copySrc | BufferUsage.copyDst });
  device.queue.writeBuffer(x, 0, new Uint8Array(Float32Array.of(3).buffer));
  const layout = device.createBindGroupLayout({
    entries: [{ binding: 0, visibility: COMPUTE_STAGE, buffer: { type: "storage" } }],
  });
  const module = device.createShaderModule({ code: CANARY });
  const pipeline = device.createComputePipeline({
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module, entryPoint: "main" },
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer: x, offset: 0, size: 4 } }] }),
  );
  pass.dispatchWorkgroups(1, 1);
  pass.end();
  device.queue.submit([encoder.finish()]);
  const [result] = new Float32Array((await readBuffer(device, x, 4)).buffer);
  x.destroy();
  if (result !== 6)
    throw new DeviceError(
      `webgpu: the adapter does not compute (3 · 2 gave ${result}); is it Dawn's null backend? Choose another with VK_DRIVER_FILES, or use the \`wasm\` device.`,
    );
}

/** A copy of the first `bytes` bytes, a multiple of 4. */
export async function readBuffer(device: GpuDevice, buffer: GpuBuffer, bytes: number): Promise<Uint8Array> {
  const staging = device.createBuffer({ size: bytes, usage: BufferUsage.mapRead | BufferUsage.copyDst });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, bytes);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(MAP_READ);
  const copy = new Uint8Array(staging.getMappedRange().slice(0));
  staging.unmap();
  staging.destroy();
  return copy;
}
