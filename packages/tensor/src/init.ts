/** Opens a device. */
import type { Backend } from "./backends/backend.ts";
import { openerOf } from "./backends/registry.ts";
import { threadOptions, type CommonOptions } from "./backends/open-options.ts";
import { openWasm } from "./backends/wasm/open.ts";
import { openHardwareGpu } from "./backends/webgpu/open.ts";
import { anything, checkOptions, fields, flag, optional } from "./check/rules.ts";
import { Device } from "./device.ts";
import { LowrankError, quote } from "./errors.ts";
import type { Engine } from "./engine.ts";
import { PlanEngine } from "./plan/plan-engine.ts";

/** Devices that are always there. */
export type KnownDevice = "wasm" | "webgpu" | "reference" | "interpreter";

/** Name of a device: one of these, or one that somebody registered (`registerBackend` of `@lowrank/tensor/backend`). */
export type DeviceName = KnownDevice | (string & {});

export interface InitOptions extends CommonOptions {
  /** Default: `webgpu` where the platform offers it on a GPU (browsers, Deno), else `wasm`. */
  readonly device?: DeviceName;
  /** wasm: threads to compute with, 1 to 16. Default: the machine's cores, at most 16; 1 where memory cannot be shared. */
  readonly threads?: number;
}

type OwnOptions = Omit<InitOptions, "threads">;

const RULES = fields<OwnOptions>(
  { device: optional(anything<string>()), fusion: optional(flag), planCache: optional(flag) },
  { unknown: "keep" },
);

/**
 * @typeParam Own options that the device itself declares, where it is one that was registered: `init<MyOptions>({ device: "mine", … })`
 * @throws ConfigError on options that neither it nor the device knows, and on a device that is not registered or whose opener returns
 * no backend; DeviceError where there is no such device
 */
export async function init<Own extends object = object>(
  options: InitOptions & NoInfer<Own> = {} as never,
): Promise<Device> {
  const { device, fusion = true, planCache = true, ...rest } = checkOptions<OwnOptions>("init", RULES, options);
  const open = device === undefined ? openBest : openerOf(device);
  const opened: unknown = await open(rest);
  if (offers<Engine>(opened, "execute", "plan")) return new Device(opened);
  if (offers<Backend>(opened, "run", "prepare", "target"))
    return new Device(new PlanEngine(opened, { fusion, planCache }));
  throw new LowrankError(
    "ConfigError",
    `init: what was registered as device ${quote(device)} opened ${quote(opened)}, which is neither a Backend nor an Engine; return one`,
  );
}

/** Whether it is an object with these members. */
function offers<T extends object>(opened: unknown, ...members: readonly (keyof T)[]): opened is T {
  return typeof opened === "object" && opened !== null && members.every((name) => (opened as T)[name] !== undefined);
}

/** A GPU where the platform has one; Dawn in Node is used when asked for by name. */
async function openBest(options: Readonly<Record<string, unknown>>): Promise<Backend> {
  checkOptions("init", threadOptions, options);
  return (await openHardwareGpu()) ?? openWasm(options);
}
