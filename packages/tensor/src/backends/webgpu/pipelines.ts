/** Compute pipelines by source: equal kernels of different plans are compiled once per device. */
import { DeviceError } from "../../errors.ts";
import type { Kernel } from "../../ir/kernel.ts";
import { COMPUTE_STAGE, type GpuBindGroupLayout, type GpuDevice, type GpuPipeline } from "./gpu-types.ts";
import { printKernel } from "./wgsl/print.ts";

export interface Pipeline {
  readonly pipeline: GpuPipeline;
  readonly layout: GpuBindGroupLayout;
  readonly grid: readonly [number, number];
}

interface Compiled {
  readonly pipeline: GpuPipeline;
  readonly layout: GpuBindGroupLayout;
}

export class PipelineCache {
  readonly #device: GpuDevice;
  readonly #byCode = new Map<string, Compiled>();
  /** One layout per number of arguments: every binding is a writable storage buffer. */
  readonly #layouts: GpuBindGroupLayout[] = [];

  constructor(device: GpuDevice) {
    this.#device = device;
  }

  /** Undefined for a kernel that has nothing to do. */
  get(kernel: Kernel): Pipeline | undefined {
    const { code, workgroups } = printKernel(kernel);
    if (workgroups === 0) return undefined;
    const limit = this.#device.limits.maxComputeWorkgroupsPerDimension;
    const x = Math.min(workgroups, limit);
    const y = Math.ceil(workgroups / x);
    if (y > limit)
      throw new DeviceError(
        `webgpu: ${kernel.label} needs ${workgroups} workgroups, more than the grid of ${limit}² holds`,
      );
    return { ...this.#compile(code, kernel), grid: [x, y] };
  }

  /** Forgets what was compiled, broken pipelines with it. */
  clear(): void {
    this.#byCode.clear();
  }

  #compile(code: string, { args, label }: Kernel): Compiled {
    const known = this.#byCode.get(code);
    if (known !== undefined) return known;
    const layout = (this.#layouts[args.length] ??= this.#device.createBindGroupLayout({
      entries: args.map((_, binding) => ({ binding, visibility: COMPUTE_STAGE, buffer: { type: "storage" as const } })),
    }));
    const module = this.#device.createShaderModule({ code, label });
    const pipeline = this.#device.createComputePipeline({
      label,
      layout: this.#device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main" },
    });
    const compiled = { pipeline, layout };
    this.#byCode.set(code, compiled);
    return compiled;
  }
}
