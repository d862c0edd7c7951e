/** Wasm devices as tests need them: with a hook in their workers, or with memory taken up to a given address. */
import { ADDRESS_SPACE } from "../../src/backends/wasm/address.ts";
import { createWasmBackend } from "../../src/backends/wasm/backend.ts";
import { enableRelaxedSimd } from "../../src/backends/wasm/relaxed-simd.ts";
import { Device } from "../../src/index.ts";
import { PlanEngine } from "../../src/plan/plan-engine.ts";

/** @param hook statements that each worker runs before each piece of work it takes */
export async function openWasm(threads: number, hook?: string): Promise<Device> {
  return new Device(
    new PlanEngine(await createWasmBackend(threads, { fma: enableRelaxedSimd() }, hook), {
      fusion: true,
      planCache: true,
    }),
  );
}

/** Pieces of memory small enough to fill any gap left below. */
const PIECES = [2 ** 20, 2 ** 16, 2 ** 12, 64];
/** The memory a device begins with. */
const INITIAL = 64 * 65536;

/** Takes all memory below `address`, so that whatever comes next lies there. No page is touched. */
export function takeMemoryUpTo(device: Device, address: number): void {
  const take = (bytes: number): number => (device.engine.allocate("u8", bytes) as unknown as { at: number }).at;
  let end = 0;
  // what the first memory still has room for, then the whole of the rest
  for (const bytes of PIECES) while ((end = take(bytes) + bytes) <= INITIAL - bytes);
  if (address > ADDRESS_SPACE || end > address) throw new Error(`cannot take memory from ${end} up to ${address}`);
  if (address > end) take(address - end);
}
