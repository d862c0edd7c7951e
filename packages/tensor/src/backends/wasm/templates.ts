/**
 * What wasm computes in a way of its own. Choices inside of one kernel (the tile by shape, tiny products as loops, the large
 * operand of a narrow product read where it is) are its code generator's, in `gemm/shape.ts` and `gemm/as-loop.ts`, and need no template. One that takes a
 * composite answers with kernels of the IR, or with native ones whose `code` is a `WasmEmitter`.
 */
import type { Template } from "../../ir/template.ts";

export const wasmTemplates: readonly Template[] = [];
