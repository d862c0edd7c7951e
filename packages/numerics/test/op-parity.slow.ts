/** Many samples of every op, of all dtypes and layouts. */
import { init, type Device } from "@lowrank/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, it } from "vitest";
import { allRecords, checkOpParity } from "../src/index.ts";

const seed = fc.readConfigureGlobal().seed!;

describe.each([true, false])("ops on wasm, fusion %s", (fusion) => {
  let device: Device;
  let reference: Device;
  beforeAll(async () => {
    reference = await init({ device: "reference" });
    device = await init({ device: "wasm", threads: 2, fusion });
  });
  afterAll(() => [device, reference].forEach((d) => d.close()));

  it.for(allRecords())("%s", { timeout: 600_000 }, async ([name, record]) => {
    await checkOpParity(name, record, device, reference, { seed, runs: 100 });
    await checkOpParity(name, record, device, reference, { seed, runs: 100, dtypes: true, layouts: true });
    await checkOpParity(name, record, device, reference, { seed, runs: 30, dtypes: true, layouts: true, empty: true });
  });
});
