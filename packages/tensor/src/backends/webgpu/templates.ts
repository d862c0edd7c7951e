/**
 * What a WebGPU device computes in a way of its own. Nothing so far. The `code` of a native kernel is a `WgslKernel`: argument i is bound as
 * `@group(0) @binding(i) var<storage, read_write>`, and the entry point is `main`. What needs `subgroups` or `shader-f16` says so in `requires`.
 */
import type { Template } from "../../ir/template.ts";

export const webGpuTemplates: readonly Template[] = [];
