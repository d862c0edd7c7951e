/** Gradients are ordinary nodes, so those of gradients need nothing: random smooth graphs show it. */
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, it } from "vitest";
import { checkSecondDerivatives } from "./support/second-derivative.ts";

let reference: Device;
beforeAll(async () => {
  reference = await init({ device: "reference" });
});
afterAll(() => reference.close());

it("gradients of gradients agree with differences of gradients", async () => {
  await checkSecondDerivatives(reference, { runs: 150, steps: 5 });
});
