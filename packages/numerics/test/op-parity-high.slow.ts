/** Every op with its memory across the 2 GiB boundary, and below the end of memory: the same bits as at its beginning, from each op's own record. */
import type { Device } from "@lowrank/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openWasm, takeMemoryUpTo } from "../../tensor/test/support/wasm.ts";
import { allRecords, runOp, sampleSource, type Gen } from "../src/index.ts";

const GIB = 2 ** 30;

describe.each([
  ["across 2 GiB", 2 * GIB - 4096],
  ["below 4 GiB", 4 * GIB - 2 ** 26],
] as const)("ops %s", (_, from) => {
  let low: Device;
  const high: Device[] = [];
  beforeAll(async () => {
    low = await openWasm(1);
    for (const threads of [1, 2]) high.push(await openWasm(threads));
    for (const device of high) takeMemoryUpTo(device, from);
  });
  afterAll(() => [low, ...high].forEach((device) => device.close()));

  it.for(allRecords())("%s", async ([name, record]) => {
    await fc.assert(
      fc.asyncProperty(fc.gen(), async (gen) => {
        const sample = record.sample(sampleSource(gen as unknown as Gen, {}));
        const want = await runOp(name, record, sample, low);
        for (const device of high) expect(await runOp(name, record, sample, device)).toEqual(want);
      }),
      { numRuns: 6 },
    );
  });
});
