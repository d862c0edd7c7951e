/** Naming the operation behind a value that is not finite, once there is one: nothing is looked at before. */
import { LowrankError, NumericsError, type Device } from "@lowrank/tensor";

/** What a run says that met a number that is not finite, and did not look where. */
export const UNNAMED = "--detect-anomaly names the operation";

/**
 * What anomaly detection finds in `body`, which does again what went wrong; undefined where it finds nothing, or there is no memory to look.
 * @returns operation, module, value and place
 */
export async function anomalyIn(device: Device, body: () => Promise<unknown>): Promise<string | undefined> {
  const before = device.anomalyDetection;
  device.anomalyDetection = true;
  try {
    await body();
    return undefined;
  } catch (error) {
    if (error instanceof NumericsError) return error.found;
    if (error instanceof LowrankError && error.kind === "environment") return undefined;
    throw error;
  } finally {
    device.anomalyDetection = before;
  }
}
