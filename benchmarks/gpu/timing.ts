/** Timing work that is only queued: many calls, then one small reading that waits for them all. */
import type { Device, Parameter } from "@lowrank/tensor";
import { median, type Context } from "./row.ts";

/** A reading of it has to wait for everything that was queued before. */
export function fence(device: Device): () => Promise<void> {
  const one: Parameter = device.parameter(Float32Array.of(0), [1]);
  return async () => {
    await one.data();
  };
}

/** A sample takes about so long, so that the fence's round trip does not count. */
const SAMPLE_MS = 120;
const SAMPLES = 5;
/** On a software device a call takes longer than any round trip. */
const SMALL_SAMPLE_MS = 10;

/**
 * Milliseconds of one call, the median of five samples; fewer where time runs out.
 * @param prepared calls until everything is compiled
 * @param most calls of a sample
 */
export async function timeCalls(
  run: () => Promise<unknown>,
  wait: () => Promise<void>,
  { small, spent }: Pick<Context, "small" | "spent">,
  { prepared = 1, most = 1000 }: { readonly prepared?: number; readonly most?: number } = {},
): Promise<number> {
  for (let i = 0; i < prepared; i++) await run();
  await wait();
  const sample = async (calls: number): Promise<number> => {
    const began = performance.now();
    for (let i = 0; i < calls; i++) await run();
    await wait();
    return (performance.now() - began) / calls;
  };
  const first = await sample(1);
  const calls = Math.max(1, Math.min(most, Math.round((small ? SMALL_SAMPLE_MS : SAMPLE_MS) / first)));
  const samples: number[] = [];
  while (samples.length < SAMPLES && (samples.length === 0 || !spent())) samples.push(await sample(calls));
  return median(samples);
}
