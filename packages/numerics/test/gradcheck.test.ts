/** Every differentiable op against central differences in f64. */
import { init, type Device } from "@lowrank/tensor";
import fc from "fast-check";
import { beforeAll, describe, it } from "vitest";
import { allRecords, checkGradient } from "../src/index.ts";

const seed = fc.readConfigureGlobal().seed!;

describe("gradients", () => {
  let reference: Device;
  beforeAll(async () => {
    reference = await init({ device: "reference" });
  });

  it.for(allRecords().filter(([, record]) => record.differentiable))("of %s", async ([name, record]) => {
    await checkGradient(name, record, reference, { seed });
  });
});
