/** Any kernel as WGSL. */
import type { Kernel } from "../../../ir/kernel.ts";
import { printGemm } from "./gemm.ts";
import { product } from "./grid.ts";
import { printLoop } from "./loop.ts";
import type { WgslKernel } from "./module.ts";
import { printScatter } from "./scatter.ts";

/** A kernel whose results have no elements has no workgroups, and no code either. */
export function printKernel(kernel: Kernel): WgslKernel {
  switch (kernel.kind) {
    case "loop":
      return product(kernel.outer) === 0 ? nothing : printLoop(kernel);
    case "gemm":
      return product([...kernel.batch, kernel.m, kernel.n]) === 0 ? nothing : printGemm(kernel);
    case "scatter":
      return kernel.rows * kernel.cols === 0 ? nothing : printScatter(kernel);
    case "native":
      return kernel.code as WgslKernel;
  }
}

const nothing: WgslKernel = { code: "", workgroups: 0 };
