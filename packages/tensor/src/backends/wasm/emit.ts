/** One kernel into a module: picks the generator for its kind. */
import { DeviceError } from "../../errors.ts";
import type { Kernel } from "../../ir/kernel.ts";
import { emitGemm } from "./gemm/gemm.ts";
import type { KernelCode } from "./kernel-code.ts";
import type { ModuleBuilder } from "./asm/index.ts";
import { emitLoop } from "./loop/loop.ts";
import { emitScatter } from "./loop/scatter.ts";

export interface WasmFeatures {
  /** Relaxed SIMD's multiply-add. */
  readonly fma: boolean;
}

/** The code of a `NativeKernel`: emits functions whose names begin with `prefix`. */
export type WasmEmitter = (module: ModuleBuilder, prefix: string, features: WasmFeatures) => KernelCode;

/** Coordinates and counts are signed 32-bit integers, and loops may count a block beyond their end. */
const MOST_ELEMENTS = 2 ** 31 - 2 ** 20;

export function emitKernel(kernel: Kernel, module: ModuleBuilder, prefix: string, features: WasmFeatures): KernelCode {
  const most = Math.max(...indexSpaces(kernel));
  if (most > MOST_ELEMENTS)
    throw new DeviceError(
      `wasm: ${kernel.label}: ${most} elements are more than a kernel can count (${MOST_ELEMENTS}); split the tensor`,
    );
  switch (kernel.kind) {
    case "loop":
      return emitLoop(kernel, module, prefix, features);
    case "gemm":
      return emitGemm(kernel, module, prefix, features);
    case "scatter":
      return emitScatter(kernel, module, prefix, features);
    case "native":
      return (kernel.code as WasmEmitter)(module, prefix, features);
  }
}

/** Sizes of what a kernel numbers through: its results, its operands, each dimension that it sums over. */
function indexSpaces(kernel: Kernel): number[] {
  const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);
  switch (kernel.kind) {
    case "loop":
      return [product(kernel.outer), ...kernel.inner];
    case "gemm":
      return [
        product(kernel.batch) * kernel.m * kernel.n,
        ...kernel.products.flatMap(({ k }) => [kernel.m * k, k * kernel.n]),
      ];
    case "scatter":
      return [kernel.rows * kernel.cols, kernel.count * kernel.cols];
    case "native":
      return kernel.args.map(({ size }) => size);
  }
}
