/** `lowrank inspect`: what is in a checkpoint or an adapter, what of it can be loaded and trained, and the memory that would take here. */
import { asInput } from "../errors.ts";
import { describe } from "../inspect/describe.ts";
import { inspect } from "../inspect/inspect.ts";
import { freeMemory } from "../memory/budget.ts";
import { CLEAR_LINE } from "../text/progress.ts";
import { openDevice } from "./device.ts";
import type { DeviceChoice } from "./options.ts";
import { EXIT_OK } from "./outcome.ts";

export interface InspectOptions {
  readonly revision?: string;
  readonly device: DeviceChoice;
  readonly threads?: number;
  /** False: plan nothing. */
  readonly memory: boolean;
  readonly tensors?: boolean;
  readonly json?: boolean;
}

/** Where nobody says, as in a pipe. */
const COLUMNS = 100;

export async function inspectCommand(source: string, options: InspectOptions): Promise<number> {
  const device = options.memory ? await openDevice(options) : undefined;
  const waiting = process.stderr.isTTY === true;
  if (waiting) process.stderr.write("reading headers and planning …");
  try {
    const inspection = await asInput(() =>
      inspect(source, { revision: options.revision, device, available: freeMemory(device) }),
    );
    if (waiting) process.stderr.write(CLEAR_LINE);
    const text =
      options.json === true
        ? JSON.stringify(inspection, null, 2)
        : describe(inspection, { tensors: options.tensors === true, width: process.stdout.columns ?? COLUMNS });
    process.stdout.write(`${text}\n`);
    return EXIT_OK;
  } catch (error) {
    if (waiting) process.stderr.write(CLEAR_LINE);
    throw error;
  } finally {
    device?.close();
  }
}
