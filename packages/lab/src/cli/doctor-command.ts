/** `lowrank doctor`: every device, whether it opens here, what it says about itself, or why not. */
import { cpus } from "node:os";
import { init, ops, type Device, type DeviceName } from "@lowrank/tensor";
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
const SIMD_PROBE = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11);
/** The same followed by two splats and `f32x4.relaxed_madd` (0xfd 0x85 0x02). */
const RELAXED_PROBE = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0,
  10, 19, 1, 17, 0, 65, 0, 253, 15, 65, 0, 253, 15, 65, 0, 253, 15, 253, 133, 2, 11,
);

const wasm = (globalThis as unknown as { WebAssembly: { validate(bytes: Uint8Array): boolean } }).WebAssembly;

export async function doctorCommand(options: { readonly json?: boolean }): Promise<number> {
  const report = await examine();
  process.stdout.write(options.json === true ? `${JSON.stringify(report, null, 2)}\n` : `${describe(report)}\n`);
  return report.devices.some((device) => device.works) ? EXIT_OK : EXIT_FAILED;
}

export async function examine(): Promise<DoctorReport> {
  const devices: DeviceReport[] = [];
  for (const device of ["wasm", "webgpu", "reference"] as const) devices.push(await tryDevice(device));
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

async function tryDevice(name: DeviceName): Promise<DeviceReport> {
  let device: Device | undefined;
  try {
    device = await init({ device: name });
    // A device that opens and computes nonsense is worse than none: 3 · 2 + 1 of a canary first.
    const canary = await ops.add(ops.matmul(device.tensor([[3]]), device.tensor([[2]])), 1).item();
    if (canary !== 7) return { device: name, works: false, detail: `computes 3 · 2 + 1 = ${canary}`, threads: null, gflops: null };
    const { description, threads } = device.info();
    return { device: name, works: true, detail: description, threads, gflops: name === "reference" ? null : await matmulRate(device) };
  } catch (error) {
    return { device: name, works: false, detail: (error as Error).message.split("\n")[0]!, threads: null, gflops: null };
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
