/** How devices get their names: openers are registered under them, those of this package like anybody's. */
import { oneOf } from "../check/rules.ts";
import type { Engine } from "../engine.ts";
import { LowrankError, quote } from "../errors.ts";
import type { Backend } from "./backend.ts";
import { openInterpreter } from "./interpreter/interpreter.ts";
import { openReference } from "./reference/reference.ts";
import { openWasm } from "./wasm/open.ts";
import { openWebGpu } from "./webgpu/open.ts";

/**
 * Opens a device: a `Backend`, which runs plans, or an `Engine`, which takes whole graphs.
 * @param options of `init` beyond those that hold for every device (`device`, `fusion`, `planCache`). The opener checks them and refuses
 * what it does not know: `openOptions` declares them.
 * @throws (or rejects with) a DeviceError where there is no such device, naming the fix
 */
export type OpenBackend = (options: Readonly<Record<string, unknown>>) => Backend | Engine | Promise<Backend | Engine>;

const openers = new Map<string, OpenBackend>([
  ["wasm", openWasm],
  ["webgpu", openWebGpu],
  ["reference", openReference],
  ["interpreter", openInterpreter],
]);

/**
 * Makes `init({ device: name })` open a device of yours. Registering the same opener again does nothing.
 *
 *     const rules = openOptions<MyOptions>({ lanes: optional(whole(1, 64)) });
 *     registerBackend("mine", (options) => new MyBackend(checkOptions("init", rules, options)));
 *     const device = await init<MyOptions>({ device: "mine", lanes: 8 });
 *
 * @throws ConfigError where the name is taken, or `open` is no function
 */
export function registerBackend(name: string, open: OpenBackend): void {
  const before = openers.get(name);
  if (before === open) return;
  if (before !== undefined || name === "")
    throw new LowrankError(
      "ConfigError",
      name === ""
        ? "registerBackend: a device needs a name"
        : `registerBackend: there is a device "${name}" already; take another name`,
    );
  if (typeof open !== "function")
    throw new LowrankError(
      "ConfigError",
      `registerBackend: "${name}" needs a function that opens it, got ${quote(open)}`,
    );
  openers.set(name, open);
}

/** @throws ConfigError that lists what is registered */
export function openerOf(name: unknown): OpenBackend {
  const known = oneOf(...openers.keys()).read(name, { source: "init", path: ["device"], code: "ConfigError" });
  return openers.get(known)!;
}
