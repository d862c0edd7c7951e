/** Opens the wasm device on as many threads as the platform gives. */
import { checkOptions } from "../../check/rules.ts";
import { DeviceError } from "../../errors.ts";
import { MAX_THREADS, threadOptions } from "../open-options.ts";
import { createWasmBackend, type WasmBackend } from "./backend.ts";
import { availableThreads, canShareMemory } from "./platform.ts";
import { enableRelaxedSimd } from "./relaxed-simd.ts";

/** @throws DeviceError where there is no WebAssembly, or no memory to share between the threads that were asked for */
export function openWasm(options: Readonly<Record<string, unknown>>): Promise<WasmBackend> {
  const { threads: wanted } = checkOptions("init", threadOptions, options);
  if (wanted !== undefined && wanted > 1 && !canShareMemory())
    throw new DeviceError(
      `init: ${wanted} threads need shared memory, which this page may not use (it must be cross-origin isolated); use threads: 1`,
    );
  const threads = canShareMemory() ? Math.min(wanted ?? availableThreads(), MAX_THREADS) : 1;
  return createWasmBackend(threads, { fma: enableRelaxedSimd() });
}
