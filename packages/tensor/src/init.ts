/** Opens a device. */
import { InterpreterBackend } from "./backends/interpreter/interpreter.ts";
import { ReferenceEngine } from "./backends/reference/reference.ts";
import { createWasmBackend, type WasmBackend } from "./backends/wasm/backend.ts";
import { availableThreads, canShareMemory } from "./backends/wasm/platform.ts";
import { enableRelaxedSimd } from "./backends/wasm/relaxed-simd.ts";
import { createWebGpuBackend, WebGpuBackend } from "./backends/webgpu/backend.ts";
import { requestGpuDevice } from "./backends/webgpu/device.ts";
import { checkOptions, fields, flag, oneOf, optional, whole } from "./check/rules.ts";
import { Device } from "./device.ts";
import { DeviceError } from "./errors.ts";
import { PlanEngine } from "./plan/plan-engine.ts";

export type DeviceName = "wasm" | "webgpu" | "reference" | "interpreter";

export interface InitOptions {
  /** Default: `webgpu` where the platform offers it on a GPU (browsers, Deno), else `wasm`. */
  readonly device?: DeviceName;
  /** wasm: threads to compute with, 1 to 16. Default: the machine's cores, at most 16; 1 where memory cannot be shared. */
  readonly threads?: number;
  /** Off: every operation is a kernel of its own. For tests and for finding bugs. Default on. */
  readonly fusion?: boolean;
  /** Off: every run is lowered and compiled anew. Default on. */
  readonly planCache?: boolean;
}

/** Storage buffers a kernel may bind on WebGPU's default limits, one of them kept for results. */
const WEBGPU_ARGS = 8;
const WASM_ARGS = 24;
const MAX_THREADS = 16;

const RULES = fields<InitOptions>(
  {
    device: optional(oneOf("wasm", "webgpu", "reference", "interpreter")),
    threads: optional(whole(1, MAX_THREADS)),
    fusion: optional(flag),
    planCache: optional(flag),
  },
  { spelt: { backend: "device", numThreads: "threads", workers: "threads" } },
);

/** @throws ConfigError on options that it does not know, DeviceError where there is no such device */
export async function init(options: InitOptions = {}): Promise<Device> {
  checkOptions("init", RULES, options);
  const plan = { fusion: options.fusion ?? true, planCache: options.planCache ?? true };
  switch (options.device) {
    case "reference":
      return new Device(new ReferenceEngine());
    case "interpreter":
      return new Device(new PlanEngine(new InterpreterBackend(), { ...plan, maxArgs: WEBGPU_ARGS }));
    case "wasm":
      return new Device(new PlanEngine(await openWasm(options.threads), { ...plan, maxArgs: WASM_ARGS }));
    case "webgpu":
      return new Device(new PlanEngine(await createWebGpuBackend(), { ...plan, maxArgs: WEBGPU_ARGS }));
    default: {
      const backend = (hasWebGpu() ? await openHardwareGpu() : undefined) ?? (await openWasm(options.threads));
      return new Device(
        new PlanEngine(backend, { ...plan, maxArgs: backend.name === "webgpu" ? WEBGPU_ARGS : WASM_ARGS }),
      );
    }
  }
}

/** Whether the platform itself offers WebGPU; Dawn in Node is used when asked for by name. */
function hasWebGpu(): boolean {
  return (globalThis as { navigator?: { gpu?: unknown } }).navigator?.gpu !== undefined;
}

/** Undefined where the platform has no adapter after all, or one that computes on the CPU, slower than WebAssembly does. */
async function openHardwareGpu(): Promise<WebGpuBackend | undefined> {
  try {
    const open = await requestGpuDevice();
    if (!open.software) return new WebGpuBackend(open);
    open.close();
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
  }
  return undefined;
}

function openWasm(wanted: number | undefined): Promise<WasmBackend> {
  if (wanted !== undefined && wanted > 1 && !canShareMemory())
    throw new DeviceError(
      `init: ${wanted} threads need shared memory, which this page may not use (it must be cross-origin isolated); use threads: 1`,
    );
  const threads = canShareMemory() ? Math.min(wanted ?? availableThreads(), MAX_THREADS) : 1;
  return createWasmBackend(threads, { fma: enableRelaxedSimd() });
}
