/** Whether the body of a compiled function is running: whatever would happen once, now, instead of at every call is refused in it. */
import { LowrankError, sameDevice } from "./errors.ts";

interface Named {
  readonly name: string;
}

/** Whose compiled function is being captured; its body is synchronous, so there is one at most. */
let traced: Named | undefined;

/** Runs the body of a compiled function of `device`. */
export function trace<T>(device: Named, body: () => T): T {
  refuseInTrace("another compiled function is called");
  traced = device;
  try {
    return body();
  } finally {
    traced = undefined;
  }
}

/** @throws CompileError in the body of a compiled function */
export function refuseInTrace(what: string): void {
  if (traced !== undefined)
    throw new LowrankError(
      "CompileError",
      `compile: ${what} inside the function, which would happen while it is captured and never again; do it outside`,
    );
}

/** @throws DeviceError in the body of a compiled function of another device, whose runs would not know what happens to this one */
export function checkTrace(what: string, device: Named): void {
  sameDevice(what, device, traced ?? device);
}
