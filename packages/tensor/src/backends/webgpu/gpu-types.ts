/**
 * The part of WebGPU that the backend touches, typed by hand: the engine is compiled without DOM types, and its public
 * declarations must not drag the whole of WebGPU's in. Names and meanings are those of the WebGPU specification.
 */

export interface Gpu {
  requestAdapter(options?: { readonly powerPreference?: "high-performance" }): Promise<GpuAdapter | null>;
}

export interface GpuAdapter {
  readonly info: {
    readonly vendor: string;
    readonly architecture: string;
    readonly device: string;
    readonly description: string;
  };
  readonly limits: GpuLimits;
  readonly features: { has(name: string): boolean };
  requestDevice(descriptor: {
    readonly requiredLimits: Readonly<Record<string, number>>;
    readonly requiredFeatures: readonly string[];
  }): Promise<GpuDevice>;
}

export interface GpuLimits {
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxStorageBuffersPerShaderStage: number;
  readonly maxComputeWorkgroupsPerDimension: number;
}

export interface GpuDevice {
  readonly features: Iterable<string>;
  readonly limits: GpuLimits;
  readonly queue: GpuQueue;
  readonly lost: Promise<{ readonly reason: string; readonly message: string }>;
  onuncapturederror: ((event: { readonly error: { readonly message: string }; preventDefault(): void }) => void) | null;
  pushErrorScope(filter: GpuErrorFilter): void;
  popErrorScope(): Promise<{ readonly message: string } | null>;
  createBuffer(descriptor: { readonly size: number; readonly usage: number; readonly label?: string }): GpuBuffer;
  createShaderModule(descriptor: { readonly code: string; readonly label?: string }): GpuShaderModule;
  createBindGroupLayout(descriptor: {
    readonly entries: readonly {
      readonly binding: number;
      readonly visibility: number;
      readonly buffer: { readonly type: "storage" };
    }[];
  }): GpuBindGroupLayout;
  createPipelineLayout(descriptor: { readonly bindGroupLayouts: readonly GpuBindGroupLayout[] }): GpuPipelineLayout;
  createComputePipeline(descriptor: {
    readonly layout: GpuPipelineLayout;
    readonly compute: { readonly module: GpuShaderModule; readonly entryPoint: string };
    readonly label?: string;
  }): GpuPipeline;
  /** Rejects where the pipeline is wrong, and tells no error scope. */
  createComputePipelineAsync(descriptor: {
    readonly layout: GpuPipelineLayout;
    readonly compute: { readonly module: GpuShaderModule; readonly entryPoint: string };
    readonly label?: string;
  }): Promise<GpuPipeline>;
  createBindGroup(descriptor: {
    readonly layout: GpuBindGroupLayout;
    readonly entries: readonly { readonly binding: number; readonly resource: GpuBinding }[];
  }): GpuBindGroup;
  createCommandEncoder(): GpuCommandEncoder;
  destroy(): void;
}

export type GpuErrorFilter = "validation" | "out-of-memory" | "internal";

export interface GpuQueue {
  writeBuffer(buffer: GpuBuffer, offset: number, data: Uint8Array): void;
  submit(commands: readonly GpuCommandBuffer[]): void;
  onSubmittedWorkDone(): Promise<void>;
}

export interface GpuBuffer {
  readonly size: number;
  mapAsync(mode: number): Promise<void>;
  getMappedRange(): ArrayBuffer;
  unmap(): void;
  destroy(): void;
}

export interface GpuBinding {
  readonly buffer: GpuBuffer;
  readonly offset: number;
  readonly size: number;
}

export interface GpuCommandEncoder {
  beginComputePass(): GpuComputePass;
  copyBufferToBuffer(from: GpuBuffer, fromOffset: number, to: GpuBuffer, toOffset: number, size: number): void;
  finish(): GpuCommandBuffer;
}

export interface GpuComputePass {
  setPipeline(pipeline: GpuPipeline): void;
  setBindGroup(index: number, group: GpuBindGroup): void;
  dispatchWorkgroups(x: number, y: number): void;
  end(): void;
}

declare const kind: unique symbol;
export interface GpuShaderModule {
  readonly [kind]?: "module";
}
export interface GpuBindGroupLayout {
  readonly [kind]?: "layout";
}
export interface GpuPipelineLayout {
  readonly [kind]?: "pipeline layout";
}
export interface GpuPipeline {
  readonly [kind]?: "pipeline";
}
export interface GpuBindGroup {
  readonly [kind]?: "group";
}
export interface GpuCommandBuffer {
  readonly [kind]?: "commands";
}

/** GPUBufferUsage and friends, whose values the specification fixes. */
export const BufferUsage = { mapRead: 1, copySrc: 4, copyDst: 8, storage: 128 } as const;
export const MAP_READ = 1;
export const COMPUTE_STAGE = 4;
