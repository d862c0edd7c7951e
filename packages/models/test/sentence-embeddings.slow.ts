/** All the recorded sentence vectors in f64. */
import { init } from "@lowrank/tensor";
import { expect, it } from "vitest";
import { expectRecordedVectors, IN_F64, present } from "./sentence-vectors.ts";

it.skipIf(!present)("reference gives every recorded sentence vector", { timeout: 600_000 }, async () => {
  const device = await init({ device: "reference" });
  expect(await expectRecordedVectors(device, IN_F64)).toBe(20);
  device.close();
});
