/** Texts to sentence vectors with a real encoder, against what transformers computed: ids, vectors, their cosines. */
import { init } from "@lowrank/tensor";
import { expect, it } from "vitest";
import { expectRecordedVectors, IN_F64, inF32, present } from "./sentence-vectors.ts";

it.skipIf(present)("has a real encoder and its vectors (set LOWRANK_DATA, LOWRANK_FIXTURES)", () => {
  expect(present).toBe(true);
});

it.skipIf(!present)("wasm gives the recorded vectors", async () => {
  const device = await init({ device: "wasm", threads: 1 });
  expect(inF32()).toBeLessThan(1e-5);
  expect(await expectRecordedVectors(device, inF32())).toBe(20);
  device.close();
});

// all of them take `reference` a minute: sentence-embeddings.slow.ts
it.skipIf(!present)("reference gives those of the shortest texts", async () => {
  const device = await init({ device: "reference" });
  expect(await expectRecordedVectors(device, IN_F64, 6)).toBe(3);
  device.close();
});
