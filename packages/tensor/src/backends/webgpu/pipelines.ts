/** Compute pipelines by source: equal kernels of different plans are compiled once per device, beside whatever the host does meanwhile. */
import { DeviceError } from "../../errors.ts";
import type { Kernel } from "../../ir/kernel.ts";
import { inErrorScope } from "./error-scope.ts";
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
  /** A promise while it is being compiled. What turned out wrong is not kept. */
  readonly #byCode = new Map<string, Compiled | Promise<Compiled>>();
  readonly #compiling = new Set<Promise<unknown>>();
  /** One layout per number of arguments: every binding is a writable storage buffer. */
  readonly #layouts: GpuBindGroupLayout[] = [];

  constructor(device: GpuDevice) {
    this.#device = device;
  }

  /**
   * Undefined for a kernel that has nothing to do; at once where it was compiled before.
   * @throws (or rejects with) a DeviceError naming the kernel
   */
  get(kernel: Kernel): Pipeline | undefined | Promise<Pipeline> {
    const { code, workgroups } = printKernel(kernel);
    if (workgroups === 0) return undefined;
    const limit = this.#device.limits.maxComputeWorkgroupsPerDimension;
    const x = Math.min(workgroups, limit);
    const y = Math.ceil(workgroups / x);
    if (y > limit)
      throw new DeviceError(
        `webgpu: ${kernel.label} needs ${workgroups} workgroups, more than the grid of ${limit}² holds`,
      );
    const compiled = this.#byCode.get(code) ?? this.#compile(code, kernel);
    const grid: Pipeline["grid"] = [x, y];
    return compiled instanceof Promise ? compiled.then((c) => ({ ...c, grid })) : { ...compiled, grid };
  }

  /** Undefined where nothing is being compiled; else when that has ended. */
  settled(): Promise<unknown> | undefined {
    return this.#compiling.size === 0 ? undefined : Promise.all(this.#compiling);
  }

  #compile(code: string, kernel: Kernel): Promise<Compiled> {
    const { value, failure } = inErrorScope(this.#device, () => this.#create(code, kernel));
    const compiling = Promise.allSettled([value.pipeline, failure]).then(([made, wrong]) => {
      const reason =
        (wrong.status === "fulfilled" ? wrong.value : undefined) ??
        (made.status === "rejected" ? messageOf(made.reason) : undefined);
      if (reason !== undefined || made.status === "rejected") {
        this.#byCode.delete(code);
        throw new DeviceError(`webgpu: ${kernel.label} could not be compiled: ${reason}`);
      }
      const compiled = { pipeline: made.value, layout: value.layout };
      this.#byCode.set(code, compiled);
      return compiled;
    });
    // whoever wants it looks at it; a plan that was refused for another reason does not
    const over = compiling
      .catch(() => undefined)
      .finally(() => {
        this.#compiling.delete(over);
      });
    this.#compiling.add(over);
    this.#byCode.set(code, compiling);
    return compiling;
  }

  #create(
    code: string,
    { args, label }: Kernel,
  ): { readonly layout: GpuBindGroupLayout; readonly pipeline: Promise<GpuPipeline> } {
    const layout = (this.#layouts[args.length] ??= this.#device.createBindGroupLayout({
      entries: args.map((_, binding) => ({ binding, visibility: COMPUTE_STAGE, buffer: { type: "storage" as const } })),
    }));
    const module = this.#device.createShaderModule({ code, label });
    const pipeline = this.#device.createComputePipelineAsync({
      label,
      layout: this.#device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main" },
    });
    return { layout, pipeline };
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
