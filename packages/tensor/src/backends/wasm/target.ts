/** What WebAssembly on a CPU can, and what things cost there. */
import { baseTarget, type Target } from "../../ir/target.ts";
import type { WasmFeatures } from "./emit.ts";

export function wasmTarget({ fma }: WasmFeatures): Target {
  return {
    ...baseTarget,
    // arguments are parameters of a function; more of them than this, and their addresses no longer stay in registers
    maxArguments: 24,
    features: new Set(["simd", ...(fma ? ["relaxed-simd"] : [])]),
    // more than a cache line: buffers of different threads never share one
    arenaAlignment: 256,
    // packing touches each element of an operand once or a few times, which leaves room for a few operations on it
    computesOperands: true,
    // tiles of several accumulators share a thread's nearest cache
    maxAccumulators: 4,
  };
}
