/** One kernel into a module: picks the generator for its kind. */
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

export function emitKernel(kernel: Kernel, module: ModuleBuilder, prefix: string, features: WasmFeatures): KernelCode {
  switch (kernel.kind) {
    case "loop": return emitLoop(kernel, module, prefix, features);
    case "gemm": return emitGemm(kernel, module, prefix, features);
    case "scatter": return emitScatter(kernel, module, prefix, features);
  }
}
