/**
 * "Does my device compute what it should?" in one call: every op forward, its gradients, its tails, other dtypes, views, sizes of 0, and
 * how far functions of one number are off. The suite that holds our own devices, as data and as a table.
 */
import { init, type Device } from "@lowrank/tensor";
import { arithmeticOf, type Arithmetic } from "./bounds/arithmetic.ts";
import { allRecords, type AnyRecord } from "./op-case.ts";
import { checkOpParity, checkOpTails } from "./op-parity.ts";
import { formatUlpHistogram, ULP_OPS, ulpHistogram, type UlpHistogram } from "./ulps.ts";

export interface DeviceCheckOptions {
  /** Ops to check. Default: all that have a record. */
  readonly ops?: readonly string[];
  /** Samples of each op and kind. Default 8. */
  readonly runs?: number;
  /** Draws the samples. Default 1. */
  readonly seed?: number;
  /** What the device promises of single operations. Default: WGSL's table on `webgpu`, else IEEE 754's. */
  readonly arithmetic?: Arithmetic;
  /** Called with each op's result as soon as there is one. */
  readonly onOp?: (result: OpCheck) => void;
}

export interface OpCheck {
  readonly op: string;
  /** The largest part of what an element may be off that one was off: above 1 is wrong. */
  readonly forward: number;
  readonly gradient: number;
  /** What was wrong, a line each; empty where nothing was. */
  readonly failures: readonly string[];
}

export interface DeviceReport {
  readonly device: string;
  readonly description: string;
  readonly arithmetic: Arithmetic;
  readonly runs: number;
  readonly seed: number;
  readonly ops: readonly OpCheck[];
  readonly ulps: readonly UlpHistogram[];
  /** Whether nothing was wrong anywhere. */
  readonly passed: boolean;
}

/** Holds `device` to the f64 reference. What it finds wrong is in the report; only what stops the check itself is thrown. */
export async function checkDevice(device: Device, options: DeviceCheckOptions = {}): Promise<DeviceReport> {
  const { runs = 8, seed = 1, arithmetic = arithmeticOf(device) } = options;
  const reference = await init({ device: "reference" });
  try {
    const wanted = allRecords().filter(([name]) => options.ops?.includes(name) ?? true);
    const results: OpCheck[] = [];
    for (const [name, record] of wanted) {
      results.push(await checkOp(name, record, device, reference, { runs, seed, arithmetic }));
      options.onOp?.(results.at(-1)!);
    }
    const ulps: UlpHistogram[] = [];
    for (const op of ULP_OPS)
      if (options.ops?.includes(op) ?? true) ulps.push(await ulpHistogram(device, op, { arithmetic }));
    const passed =
      results.every((r) => r.failures.length === 0) && ulps.every(({ worst, documented }) => worst.ulps <= documented);
    const { description } = device.info();
    return { device: device.name, description, arithmetic, runs, seed, ops: results, ulps, passed };
  } finally {
    reference.close();
  }
}

async function checkOp(
  name: string,
  record: AnyRecord,
  device: Device,
  reference: Device,
  options: { readonly runs: number; readonly seed: number; readonly arithmetic: Arithmetic },
): Promise<OpCheck> {
  const share = { forward: 0, gradient: 0 };
  const failures: string[] = [];
  const attempt = async (body: () => Promise<void>): Promise<void> => {
    try {
      await body();
    } catch (error) {
      failures.push(rootOf(error));
    }
  };
  const onShare = (kind: keyof typeof share, part: number): void => {
    share[kind] = Math.max(share[kind], part);
  };
  await attempt(() => checkOpParity(name, record, device, reference, { ...options, onShare }));
  await attempt(() =>
    checkOpParity(name, record, device, reference, { ...options, dtypes: true, layouts: true, onShare }),
  );
  await attempt(() => checkOpParity(name, record, device, reference, { ...options, empty: true }));
  await attempt(() => checkOpTails(name, record, device, reference, options));
  return { op: name, ...share, failures };
}

/** What fast-check wraps. */
function rootOf(error: unknown): string {
  let at = error;
  while (at instanceof Error && at.cause !== undefined) at = at.cause;
  return at instanceof Error ? at.message : String(at);
}

/** A table for people: a line for each op, what was wrong below it, then the histograms of functions. */
export function formatDeviceReport(report: DeviceReport): string {
  const { ops, ulps } = report;
  const width = Math.max(4, ...ops.map(({ op }) => op.length));
  const part = (x: number): string => (x === 0 ? "exact" : `${(100 * x).toFixed(0)} %`).padStart(8);
  const rows = ops.flatMap(({ op, forward, gradient, failures }) => [
    `${op.padEnd(width)} ${part(forward)} ${part(gradient)}  ${failures.length === 0 ? "ok" : "WRONG"}`,
    ...failures.map((line) => `  ${line}`),
  ]);
  const wrong = ops.filter(({ failures }) => failures.length > 0).length;
  const beyond = ulps.filter(({ worst, documented }) => worst.ulps > documented).length;
  return [
    `${report.device}: ${report.description}`,
    `${report.runs} samples of each op, seed ${report.seed}; the error as a part of what ${report.arithmetic} arithmetic may be off`,
    "",
    `${"op".padEnd(width)}  forward gradient`,
    ...rows,
    "",
    ...ulps.map(formatUlpHistogram),
    "",
    report.passed
      ? `all ${ops.length} ops and ${ulps.length} functions hold`
      : `${wrong} of ${ops.length} ops and ${beyond} of ${ulps.length} functions are WRONG`,
  ].join("\n");
}
