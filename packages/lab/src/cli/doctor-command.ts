/**
 * `lowrank doctor`: every device, whether it opens here, what it says about itself, or why not. WebGPU is tried in a process of its own:
 * a driver that crashes takes only that process along, and what Dawn writes to stderr is read instead of shown.
 */
import { spawnSync } from "node:child_process";
import { cpus } from "node:os";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { init, ops, type Device, type DeviceName } from "@lowrank/tensor";
import { dawnComplaints, explainRefusal, vulkanDrivers } from "./gpu-refusal.ts";
import type { DeviceChoice } from "./options.ts";
import { EXIT_FAILED, EXIT_OK } from "./outcome.ts";

export interface DeviceReport {
  readonly device: DeviceName;
  readonly works: boolean;
  /** What the device says about itself, or why there is none. */
  readonly detail: string;
  readonly threads: number | null;
  readonly gflops: number | null;
}

export interface DoctorReport {
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  readonly simd: boolean;
  readonly relaxedSimd: boolean;
  readonly sharedMemory: boolean;
  readonly devices: readonly DeviceReport[];
}

/** `(func (result v128) i32.const 0 i8x16.splat)`: validates only where there is SIMD. */
const SIMD_PROBE = Uint8Array.of(
  0,
  97,
  115,
  109,
  1,
  0,
  0,
  0,
  1,
  5,
  1,
  96,
  0,
  1,
  123,
  3,
  2,
  1,
  0,
  10,
  8,
  1,
  6,
  0,
  65,
  0,
  253,
  15,
  11,
);
/** The same followed by two splats and `f32x4.relaxed_madd` (0xfd 0x85 0x02). */
const RELAXED_PROBE = Uint8Array.of(
  0,
  97,
  115,
  109,
  1,
  0,
  0,
  0,
  1,
  5,
  1,
  96,
  0,
  1,
  123,
  3,
  2,
  1,
  0,
  10,
  19,
  1,
  17,
  0,
  65,
  0,
  253,
  15,
  65,
  0,
  253,
  15,
  65,
  0,
  253,
  15,
  253,
  133,
  2,
  11,
);

const wasm = (globalThis as unknown as { WebAssembly: { validate(bytes: Uint8Array): boolean } }).WebAssembly;

export interface DoctorOptions {
  readonly json?: boolean;
  /** Examine this device only, in this process. */
  readonly device?: DeviceChoice;
}

const EXAMINED = ["wasm", "webgpu", "reference"] as const satisfies readonly DeviceName[];
/** A driver that needs longer to open and multiply once hangs. */
const PROBE_MS = 60_000;

export async function doctorCommand({ json, device }: DoctorOptions): Promise<number> {
  const report = await examine(device);
  process.stdout.write(json === true ? `${JSON.stringify(report, null, 2)}\n` : `${describe(report)}\n`);
  return report.devices.some((device) => device.works) ? EXIT_OK : EXIT_FAILED;
}

export async function examine(only: DeviceChoice = "auto"): Promise<DoctorReport> {
  const devices: DeviceReport[] = [];
  if (only !== "auto") devices.push(await tryDevice(only));
  else for (const device of EXAMINED) devices.push(device === "webgpu" ? probeGpu() : await tryDevice(device));
  const processors = cpus();
  return {
    node: process.version,
    cpu: processors[0]?.model ?? "unknown",
    cores: processors.length,
    simd: wasm.validate(SIMD_PROBE),
    relaxedSimd: wasm.validate(RELAXED_PROBE),
    sharedMemory: typeof SharedArrayBuffer === "function",
    devices,
  };
}

/** What `doctor --device webgpu` says in a process of its own. */
function probeGpu(): DeviceReport {
  const entry = fileURLToPath(new URL(`../cli${extname(import.meta.url)}`, import.meta.url));
  const { stdout, stderr, signal, error } = spawnSync(
    process.execPath,
    [...process.execArgv, entry, "doctor", "--device", "webgpu", "--json"],
    { encoding: "utf8", timeout: PROBE_MS },
  );
  const failed = (detail: string): DeviceReport => ({
    device: "webgpu",
    works: false,
    detail,
    threads: null,
    gflops: null,
  });
  if (error !== undefined && (error as NodeJS.ErrnoException).code === "ETIMEDOUT")
    return failed(`webgpu: the driver did not answer within ${PROBE_MS / 1000} s; the \`wasm\` device needs none`);
  if (signal !== null) return failed(`webgpu: the driver crashed (${signal}); update it, or use the \`wasm\` device`);
  let report: DeviceReport;
  try {
    report = (JSON.parse(stdout) as DoctorReport).devices[0]!;
  } catch {
    return failed(
      `webgpu: it could not be tried: ${error?.message ?? stderr.trim().split("\n").at(-1) ?? "the process said nothing"}`,
    );
  }
  return report.works
    ? report
    : { ...report, detail: explainRefusal(dawnComplaints(stderr), vulkanDrivers()) ?? report.detail };
}

async function tryDevice(name: DeviceName): Promise<DeviceReport> {
  let device: Device | undefined;
  try {
    device = await init({ device: name });
    // A device that opens and computes nonsense is worse than none: 3 · 2 + 1 of a canary first.
    const canary = await ops.add(ops.matmul(device.tensor([[3]]), device.tensor([[2]])), 1).item();
    if (canary !== 7)
      return { device: name, works: false, detail: `computes 3 · 2 + 1 = ${canary}`, threads: null, gflops: null };
    const { description, threads } = device.info();
    return {
      device: name,
      works: true,
      detail: description,
      threads,
      gflops: name === "reference" ? null : await matmulRate(device),
    };
  } catch (error) {
    return {
      device: name,
      works: false,
      detail: (error as Error).message.split("\n")[0]!,
      threads: null,
      gflops: null,
    };
  } finally {
    device?.close();
  }
}

/** Side of the timed product: 2·512³ = 0.27 GFLOP, milliseconds on any device. */
const SIDE = 512;

/** Best of a few 512³ products, in GFLOP/s. */
async function matmulRate(device: Device): Promise<number> {
  const a = device.parameter(new Float32Array(SIDE * SIDE).fill(1), [SIDE, SIDE]);
  const b = device.parameter(new Float32Array(SIDE * SIDE).fill(1), [SIDE, SIDE]);
  let best = Infinity;
  for (let i = 0; i < 5; i++) {
    const started = performance.now();
    await ops.sum(ops.matmul(a.value, b.value)).item();
    best = Math.min(best, performance.now() - started);
  }
  a.dispose();
  b.dispose();
  return (2 * SIDE ** 3) / best / 1e6;
}

function describe(report: DoctorReport): string {
  const yes = (value: boolean): string => (value ? "yes" : "no");
  const lines = report.devices.map(({ device, works, detail, gflops }) => {
    const rate = gflops === null ? "" : `, 512³ product at ${gflops.toFixed(1)} GFLOP/s`;
    return `  ${device.padEnd(10)} ${works ? "works" : "no   "}  ${detail}${rate}`;
  });
  return [
    `node ${report.node} · ${report.cpu} · ${report.cores} core${report.cores === 1 ? "" : "s"}`,
    `WebAssembly SIMD: ${yes(report.simd)} · relaxed SIMD: ${yes(report.relaxedSimd)} · shared memory: ${yes(report.sharedMemory)}`,
    "devices:",
    ...lines,
  ].join("\n");
}
